"""A trial that is no trial: answers a function's questions, and remembers them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NoReturn

from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import IntDistribution
from optuna.trial import FixedTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Choice


# What a parameter is asked with: a range is ordered, a tuple is not.
Choices = range | tuple[Choice, ...]
Answer = Callable[[str, Choices], Any]

_MAX_INTEGERS = 1000


class RecordingTrial(FixedTrial):
    """Takes its values from ``answer``.

    Args:
        answer: Name and choices -> one of the choices.

    Attributes:
        asked: The choices of every parameter asked for, in this order.
        answers: The values given.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__({})
        self._answer = answer
        self.asked: dict[str, Choices] = {}
        self.answers: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        """Return the values given so far."""
        return dict(self.answers)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the distributions of the parameters asked for so far."""
        return {name: distribution(choices) for name, choices in self.asked.items()}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Answer with one of ``choices``."""
        return self._value(name, tuple(choices))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Answer with an integer of the range.

        Raises:
            SpaceError: If there are too many integers, none, or they are to be drawn from the
                log domain.
        """
        if log:
            raise SpaceError(
                f"The integer {name!r} has log=True; list the values to choose from, "
                f'trial.suggest_categorical("{name}", [16, 32, 64]), or ask for the exponent.'
            )
        choices = range(low, high + 1, step)
        if not 1 <= len(choices) <= _MAX_INTEGERS:
            raise SpaceError(
                f"The integer {name!r} from {low} to {high} in steps of {step} has {len(choices)} "
                f"choices; give it 1 to {_MAX_INTEGERS}, with another step for example."
            )
        return int(self._value(name, choices))

    def suggest_float(self, name: str, *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises:
            SpaceError: Always.
        """
        raise SpaceError(
            f"The float {name!r} is no choice of an architecture; ask for it beside the space, "
            "with trial.suggest_float in the objective, or list values to choose from, "
            f'trial.suggest_categorical("{name}", [0.0, 0.1, 0.2]).'
        )

    def _value(self, name: str, choices: Choices) -> Any:
        if name in self.asked:
            check_same(name, choices, self.asked[name])
            return self.answers[name]
        self.asked[name] = choices
        self.answers[name] = self._answer(name, choices)
        return self.answers[name]


def check_same(name: str, choices: Choices, known: Choices) -> None:
    """Refuse a parameter whose choices are others than before.

    Raises:
        SpaceError: If they differ.
    """
    if choices != known:
        raise SpaceError(
            f"The parameter {name!r} is asked for with the choices {_shown(choices)}, elsewhere "
            f"with {_shown(known)}; give it another name in each branch, such as "
            f'f"{name}_{{kind}}", or the same choices.'
        )


def _shown(choices: Choices) -> str:
    if isinstance(choices, tuple):
        return str(list(choices))
    return f"{choices.start} to {choices[-1]} in steps of {choices.step}"


def distribution(choices: Choices) -> BaseDistribution:
    """Return the distribution that Optuna gives the parameter."""
    if isinstance(choices, tuple):
        return CategoricalDistribution(choices)
    return IntDistribution(choices.start, choices[-1], step=choices.step)
