"""Authentication: the user id of a request's token, or a 401. No other module reads tokens.

`authenticator` takes the token from the headers and remembers verified ones; `token` decodes it
without trusting it; `claims` checks its times, issuer, audience and user id. The token's `alg`
decides how its signature is verified: with a `shared_secret`, or with a key of a `key_set`, which
`jwks_client` fetches.
"""

from .authenticator import Authenticator, authenticator_for

__all__ = ["Authenticator", "authenticator_for"]
