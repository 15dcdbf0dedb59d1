"""The one door: a request becomes a user id, or a 401. Nothing else here looks at a token.

`door` takes the token out of the headers and remembers what it verified; `token` reads it without
believing it; `claims` judges what it says. It was signed in one of two ways, and its header picks
which: with a `shared_secret`, or with a key of a `key_set`, which `key_client` keeps fresh.
"""

from .door import Door, door_for

__all__ = ["Door", "door_for"]
