"""`taskcli`, the operator's command for taskcore and taskapi: one file per verb."""
