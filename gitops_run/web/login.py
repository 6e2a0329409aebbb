"""Who may open the page: whoever brings the token that was printed, once, and then their browser's cookie.

This module knows tokens and cookies of one server. It keeps them in memory only, so that a restart ends every
login.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gitops_run.web.bells import Bells
from gitops_run.web.pages.view import Message

TOKEN_BYTES: Final = 32
TOKEN_S: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Login:
    """Hold one browser's login. csrf: what its forms must bring. bells: ring when it is over."""

    key: str
    csrf: str
    bells: Bells = field(default_factory=Bells)
    _messages: dict[tuple[str, str], Message] = field(default_factory=dict)

    def leave_message(self, namespace: str, name: str, message: Message) -> None:
        """Keep what came of an action for the next page of a session."""
        self._messages[namespace, name] = message

    def take_message(self, namespace: str, name: str) -> Message | None:
        """Take what came of the last action, once."""
        return self._messages.pop((namespace, name), None)


class Logins:
    """Hold the logins of one server."""

    def __init__(self, now: Callable[[], float]) -> None:
        """now: seconds of a clock that never goes back."""
        self._now = now
        self._token = ""
        self._valid_until = 0.0
        self._logins: dict[str, Login] = {}

    def new_token(self) -> str:
        """Make the token that logs one browser in; the one before is worth nothing from now on."""
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._valid_until = self._now() + TOKEN_S
        return self._token

    def enter(self, token: str) -> Login | None:
        """Take a token, once and in time; None for any other."""
        expected, is_in_time = self._token, self._now() < self._valid_until
        if not expected or not hmac.compare_digest(token.encode(), expected.encode()):
            return None
        self._token = ""
        if not is_in_time:
            return None
        login = Login(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))
        self._logins[login.key] = login
        return login

    def is_over(self, login: Login) -> bool:
        """Say whether a login has ended."""
        return login.key not in self._logins

    def find(self, key: str) -> Login | None:
        """Find the login of a cookie."""
        return self._logins.get(key)

    def leave(self, login: Login) -> None:
        """End a login and its streams."""
        self._logins.pop(login.key, None)
        login.bells.ring()

    def end_all(self) -> None:
        """End every login."""
        for login in tuple(self._logins.values()):
            self.leave(login)
