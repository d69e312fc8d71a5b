"""Numbers of bytes and times as fields of records have them: ``ByteSize`` and ``datetime``, read from what a server
sends, such as ``2019393189`` and ``"2025-05-04T17:37:44.706015396-07:00"``, and lengths of time as JSON has them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any

__all__ = ["BYTE_SIZE", "ByteSize", "duration_text", "parse_byte_size", "parse_time", "read_byte_size", "read_time"]

_TIME = r"(\d{4}-\d\d-\d\d)(?:[Tt_ ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?\s*([Zz]|[+-]\d\d:?\d\d)?)?"
# Numbers of bytes as texts, in JSON Schema, too.
BYTE_SIZE = r"^\s*(\d*\.?\d+)\s*(\w+)?"
_STEPS = [("", 1), *((letter, 1000**power) for power, letter in enumerate("kmgtpe", 1))]
_STEPS += [(f"{letter}i", 1024**power) for power, letter in enumerate("kmgtpe", 1)]
_UNITS: dict[str, float] = {
    **{f"{prefix}b": size for prefix, size in _STEPS},
    **{f"{prefix}bit": size / 8 for prefix, size in _STEPS},
    **{letter: size for letter, size in _STEPS if len(letter) == 1},
}


class ByteSize(int):
    """A number of bytes, as pydantic's class of this name.

    >>> ByteSize(2_019_393_189).human_readable(), ByteSize(2_019_393_189).human_readable(decimal=True)
    ('1.9GiB', '2.0GB')
    >>> ByteSize(1_500_000).to("MB")
    1.5
    """

    def human_readable(self, decimal: bool = False, separator: str = "") -> str:
        """The size with one digit after the point, in units of 1024, or of 1000 with ``decimal``."""
        step, infix = (1000.0, "") if decimal else (1024.0, "i")
        number = float(self)
        if abs(number) < step:
            return f"{number:0.0f}{separator}B"
        for letter in "KMGTPE":
            number /= step
            if abs(number) < step or letter == "E":
                break
        return f"{number:0.1f}{separator}{letter}{infix}B"

    def to(self, unit: str) -> float:
        """The size in ``unit``, such as ``MB`` (1,000,000 bytes) or ``MiB`` (1,048,576 bytes).

        Raises ValueError for a unit that there is not."""
        return self / _unit(unit)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Only pydantic calls this.
        from pydantic_core import core_schema

        def read(value: Any) -> ByteSize:
            return parse_byte_size(value) if isinstance(value, str) else cls(value)

        sizes = core_schema.union_schema(
            [core_schema.str_schema(pattern=BYTE_SIZE), core_schema.int_schema(ge=0)], mode="left_to_right"
        )
        return core_schema.no_info_after_validator_function(
            read,
            sizes,
            serialization=core_schema.plain_serializer_function_ser_schema(
                int, return_schema=core_schema.int_schema(ge=0)
            ),
        )


def _unit(name: str) -> float:
    size = _UNITS.get(name.lower())
    if size is None:
        raise ValueError(f"{name!r} is no unit of bytes")
    return size


def parse_byte_size(text: str) -> ByteSize:
    """A text such as ``1.5 GiB`` as a number of bytes. Raises ValueError for what is none.

    >>> parse_byte_size("1.5 KiB")
    1536
    """
    import re

    found = re.fullmatch(BYTE_SIZE, text.rstrip())
    if found is None:
        raise ValueError(f"{text!r} is no number of bytes")
    return ByteSize(float(found[1]) * _unit(found[2] or "b"))


def read_byte_size(value: Any) -> Any:
    """A number of bytes as a `ByteSize`; what is no number stays."""
    return ByteSize(value) if type(value) is int else value


def parse_time(text: str) -> datetime:
    """A time in ISO 8601, to the microsecond. Raises ValueError for what is none.

    >>> parse_time("2025-05-04T17:37:44.706015396-07:00").isoformat()
    '2025-05-04T17:37:44.706015-07:00'
    """
    import re
    from datetime import datetime, timezone

    found = re.fullmatch(_TIME, text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time")
    day, time, seconds, fraction, zone = found.groups()
    if zone is not None:
        zone = "+0000" if zone in "Zz" else zone.replace(":", "")
    moment = datetime.strptime(
        f"{day} {time or '00:00'}{seconds or ':00'}{zone or ''}", f"%Y-%m-%d %H:%M:%S{'%z' if zone else ''}"
    )
    moment = moment.replace(microsecond=int(f"{(fraction or '')[:6]:0<6}"))
    return moment.replace(tzinfo=timezone.utc) if zone == "+0000" else moment


def read_time(value: Any) -> Any:
    """A time in ISO 8601 as a ``datetime``; what is none stays.

    >>> read_time("soon")
    'soon'
    """
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            pass
    return value


def duration_text(duration: timedelta) -> str:
    """A length of time in ISO 8601, with years of 365 days, as pydantic writes it.

    >>> from datetime import timedelta
    >>> duration_text(timedelta(days=366, minutes=90, milliseconds=5)), duration_text(-timedelta(seconds=1))
    ('P1Y1DT1H30M0.005S', '-PT1S')
    """
    span = abs(duration)
    years, days = divmod(span.days, 365)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    second = f"{seconds}.{span.microseconds:06}".rstrip("0").rstrip(".") if span.microseconds else str(seconds)
    date = "".join(f"{count}{unit}" for count, unit in ((years, "Y"), (days, "D")) if count)
    time = "".join(
        f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (second, "S")) if count not in (0, "0")
    )
    text = date + (f"T{time}" if time else "") or "T0S"
    return f"{'-' if duration < span else ''}P{text}"
