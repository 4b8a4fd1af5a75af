"""Settings. A field of a dataclass declares each setting once: its default, its allowed values and its meaning.

    @dataclasses.dataclass(frozen=True)
    class RolloutSettings:
        steps: int = setting(12, whole(1, 10_000), "steps from noise to motion, for each chunk")
        schedule: str = setting("autoregressive", choice(SCHEDULES), "order in which chunks are denoised")

        def __post_init__(self) -> None:
            check_fields(self, "rollout")

`to_config` makes a ConfigDict from such classes, section by section, and `described` a text. `check_fields` checks an instance
against its class. `check_config` checks the sections of a ConfigDict against the classes that declare them, before anything is
computed. Both raise an error of one sentence, which names the setting, its value and the allowed values. Conditions on several
settings at once belong in the `__post_init__` of a class.

If several stages share a class, a stage may use an instance in its place, which holds the stage's own defaults.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from ml_collections import ConfigDict

from xactor_jax.errors import UserError

RANGE, DOC = "range", "doc"
"""Keys of a field's metadata."""

Sections = Mapping[str, Any]
"""Section of a config (such as "network.unet"; "" is the top level) → dataclass of its settings, or an instance of it."""

SEED = 2**32 - 1
"""The largest seed."""


@runtime_checkable
class Range(Protocol):
    """The allowed values of a setting. Its text completes the sentence "use …"."""

    def __contains__(self, value: Any) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of the given names."""

    names: tuple[str, ...]

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.names

    def __str__(self) -> str:
        *others, last = (name or '""' for name in self.names)
        return f"{', '.join(others)} or {last}" if others else last


@dataclasses.dataclass(frozen=True)
class Interval:
    """Finite numbers between two bounds, and the numbers `extra`, which have a special meaning (such as -1 for "all")."""

    low: int | float = -math.inf
    high: int | float = math.inf
    integral: bool = False
    above: bool = False
    """Whether `low` itself is excluded."""
    below: bool = False
    """Whether `high` itself is excluded."""
    extra: tuple[int | float, ...] = ()

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if self.integral else numbers.Real):
            return False
        high_enough = value > self.low if self.above else value >= self.low
        low_enough = value < self.high if self.below else value <= self.high
        return (math.isfinite(value) and high_enough and low_enough) or value in self.extra

    def __str__(self) -> str:
        low = f" {'above' if self.above else 'from'} {self.low}" if math.isfinite(self.low) else ""
        high = f" {'to below' if self.below else 'to'} {self.high}" if math.isfinite(self.high) else ""
        on = " on" if low and not high and not self.above else ""
        others = "".join(f", or {number}" for number in self.extra)
        return f"{'a whole number' if self.integral else 'a number'}{low}{high}{on}{others}"


@dataclasses.dataclass(frozen=True)
class Several:
    """A tuple of at least `least` values, all of one range."""

    each: Range
    least: int = 1

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, tuple | list) and len(value) >= self.least and all(item in self.each for item in value)

    def __str__(self) -> str:
        return f"at least {self.least} of these, with commas: {self.each}"


@dataclasses.dataclass(frozen=True)
class Flag:
    """A setting that is True or False."""

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "True or False"


@dataclasses.dataclass(frozen=True)
class Text:
    """Any text, such as a path, or a value that is checked elsewhere."""

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, str)

    def __str__(self) -> str:
        return "a text"


def choice(names: Iterable[str]) -> Choice:
    """One of the given names, or of the keys of a table."""
    return Choice(tuple(names))


def whole(low: int, high: int | float = math.inf, *, extra: tuple[int, ...] = ()) -> Interval:
    """Whole numbers from `low` to `high`, and the numbers `extra`."""
    return Interval(low, high, integral=True, extra=extra)


def real(low: float = 0.0, high: int | float = math.inf, *, above: bool = False, below: bool = False) -> Interval:
    """Finite numbers from `low` to `high`; `above` excludes `low` itself and `below` excludes `high` itself."""
    return Interval(low, high, above=above, below=below)


SHARE = real(0.0, 1.0)
"""Range of a probability or a fraction."""


def setting(default: Any, allowed: Range, doc: str) -> Any:
    """A field of a settings dataclass: its default, its allowed values, and its meaning, a noun phrase with the unit."""
    return dataclasses.field(default=default, metadata={RANGE: allowed, DOC: doc})


def fields(settings: Any) -> dict[str, dataclasses.Field]:
    """Name → field of every setting of a dataclass or of an instance of one."""
    return {field.name: field for field in dataclasses.fields(settings) if RANGE in field.metadata}


def ranges(settings: Any) -> dict[str, Range]:
    """Name → allowed values of the settings of a dataclass."""
    return {name: field.metadata[RANGE] for name, field in fields(settings).items()}


def docs(sections: Sections) -> dict[str, str]:
    """Dotted name → meaning of every setting."""
    return {
        f"{section}.{name}".strip("."): field.metadata[DOC]
        for section, settings in sections.items()
        for name, field in fields(settings).items()
    }


def section_of(config: ConfigDict, section: str) -> ConfigDict:
    """The section of a config with a dotted name, created if needed; "" is the config itself."""
    for name in filter(None, section.split(".")):
        if name not in config:
            config[name] = ConfigDict()
        config = config[name]
    return config


def to_config(sections: Sections) -> ConfigDict:
    """A config with the defaults of all sections."""
    config = ConfigDict()
    for section, settings in sections.items():
        section_of(config, section).update({name: getattr(settings, name) for name in fields(settings)})
    return config


def described(config: ConfigDict, sections: Sections) -> Iterator[str]:
    """Yields two lines for every setting (name, value and allowed values; meaning), and an empty line after each section."""
    for section, settings in sections.items():
        for name, field in fields(settings).items():
            key, value = f"{section}.{name}".strip("."), section_of(config, section)[name]
            shown = '""' if value == "" else value
            yield f"{key} = {shown}  ({field.metadata[RANGE]})"
            yield f"    {field.metadata[DOC]}"
        yield ""


def check_value(name: str, value: Any, allowed: Range) -> None:
    """Raises `UserError` for a value outside its range."""
    if value not in allowed:
        raise UserError(f"{name}={value} is not possible: use {allowed}.")


def check_divides(name: str, sizes: Iterable[int], divisor_name: str, divisor: int) -> None:
    """Raises `UserError` unless every size is a multiple of the divisor."""
    for size in sizes:
        if size % divisor:
            raise UserError(f"{name}={size} is not a multiple of {divisor_name}={divisor}: change one of them.")


def check_fields(settings: Any, section: str) -> None:
    """Raises `UserError` for the first field outside its range. `section` is the name of the class's section in the config."""
    for name, allowed in ranges(settings).items():
        check_value(f"{section}.{name}", getattr(settings, name), allowed)


def check_config(config: ConfigDict, sections: Sections, prefix: str = "--config.") -> None:
    """Raises `UserError` for the first setting outside its range.

    Sections and settings that the config lacks, as one of an older version may, are skipped.
    """
    for section, settings in sections.items():
        values: Any = config
        for name in filter(None, section.split(".")):
            values = values.get(name, {})
        for name, allowed in ranges(settings).items():
            if name in values:
                check_value(f"{prefix}{section}{'.' if section else ''}{name}", values[name], allowed)
