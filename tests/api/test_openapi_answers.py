"""The document declares each status of the contract, with its headers, codes and one format."""

from __future__ import annotations

import json

import pytest
from fix_contract import STATUS, Json
from test_openapi import COMMITTED, OPEN, operations
