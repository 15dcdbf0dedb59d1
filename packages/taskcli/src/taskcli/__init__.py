"""The operator's command over taskcore and taskapi."""
