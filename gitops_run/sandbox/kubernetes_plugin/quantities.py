"""Kubernetes quantities in their one canonical form: 1024Mi is 1Gi, 0.5 is 500m.

The API server stores quantities canonically, so inputs are written the same way before they are
compared. Source: k8s.io/apimachinery 0.36, pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = Decimal(10) ** -9


def canonical(text: str) -> str:
    """Write a quantity as the API server does; text that isn't one stays as it is."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return text
    digits, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY[1:]:
        number = digits * Decimal(1024) ** _BINARY.index(suffix)
        whole = number == number.to_integral_value()
        return _binary(int(number)) if whole and abs(number) >= 1024 else _decimal(number)
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return _exponent(digits.scaleb(int(suffix[1:])))
    return _decimal(digits.scaleb(_DECIMAL[suffix]))


def _binary(number: int) -> str:
    power = 0
    while number and number % 1024 == 0 and power < len(_BINARY) - 1:
        number //= 1024
        power += 1
    return f"{number}{_BINARY[power]}"


def _decimal(number: Decimal) -> str:
    mantissa, power = _reduced(number)
    suffix = next(name for name, value in _DECIMAL.items() if value == power)
    return f"{mantissa}{suffix}"


def _exponent(number: Decimal) -> str:
    mantissa, power = _reduced(number)
    return f"{mantissa}e{power}" if power else str(mantissa)


def _reduced(number: Decimal) -> tuple[int, int]:
    """Split into a whole number and a power of ten that is a multiple of three, rounded up to nano."""
    nano = int((number / _NANO).to_integral_value(rounding="ROUND_UP"))
    power = -9
    while nano and nano % 1000 == 0 and power < 18:
        nano //= 1000
        power += 3
    return (nano, power) if nano else (0, 0)
