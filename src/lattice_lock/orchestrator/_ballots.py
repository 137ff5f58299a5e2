"""Votes counted: what a panel has decided, and whether anybody still to come could change it.

Nothing here waits or knows a model. A voter is a number, the place in the panel; a choice is any
value that can be compared. Weights are fractions, so that no sum depends on its order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping, Sequence

    Choice: TypeAlias = Hashable
    Vote: TypeAlias = Mapping[str | None, Choice]

__all__ = ["MISSING", "WHOLE", "Election", "Round", "instant_runoff", "questions", "supporters"]

WHOLE: Final = None
"""The one question where answers are compared as a whole; fields have their names."""
MISSING: Final = ("missing",)
"""What a vote that lacks a field says about it."""
_ANY_FIELD: Final = "any field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """How a panel votes on one question or, field by field, on several.

    A choice wins with more than half of the weight of the whole panel, absent members included;
    where the panel has to be unanimous, when all who voted made it. Nothing wins below the quorum.

    Attributes:
        weights: of each member, all above zero.
        quorum: members that must have voted, from 1 up.
    """

    weights: Sequence[Fraction]
    quorum: int
    unanimous: bool = False

    def weight(self, voters: Collection[int]) -> Fraction:
        """What `voters` weigh together, as a part of the panel."""
        return sum((self.weights[voter] for voter in voters), Fraction(0)) / sum(self.weights)

    def winners(self, votes: Mapping[int, Vote]) -> Mapping[str | None, Choice] | None:
        """What won each question; None where one is undecided, or too few have voted."""
        winners: dict[str | None, Choice] = {}
        for question in questions(votes) or (_ANY_FIELD,):
            if (won := self.winner(votes, question)) is None:
                return None
            winners[question] = won
        return {question: winners[question] for question in questions(votes)}

    def winner(self, votes: Mapping[int, Vote], question: str | None) -> Choice | None:
        """What won `question`; None where nothing did."""
        by_choice = supporters(votes, question)
        won = (choice for choice, voters in by_choice.items() if self._wins(voters, by_choice))
        return next(won, None) if len(votes) >= self.quorum else None

    def settled(self, votes: Mapping[int, Vote], waiting: Collection[int]) -> bool:
        """Whether it is certain what the panel decides, or that it decides nothing.

        It decides something when it decides every question.
        """
        if not waiting or len(votes) + len(waiting) < self.quorum:
            return True
        # Where no field is known yet, one that a later answer has is lacking in all so far.
        known = [supporters(votes, question) for question in questions(votes) or (_ANY_FIELD,)]
        if any(self._lost(by_choice, waiting) for by_choice in known):
            return True
        return len(votes) >= self.quorum and all(
            not self.unanimous and any(self._wins(voters, one) for voters in one.values())
            for one in known
        )

    def _wins(self, voters: Collection[int], by_choice: Mapping[Choice, Collection[int]]) -> bool:
        if self.unanimous:
            return len(by_choice) == 1
        return 2 * self.weight(voters) > 1

    def _lost(self, by_choice: Mapping[Choice, Collection[int]], waiting: Collection[int]) -> bool:
        """Whether no choice can win any more, even if all who are to come make the same."""
        if self.unanimous:
            return len(by_choice) > 1
        best = max(map(self.weight, by_choice.values()), default=0)
        return 2 * (best + self.weight(waiting)) <= 1


def questions(votes: Mapping[int, Vote]) -> tuple[str | None, ...]:
    """What was voted on, in the order of the panel."""
    return tuple(dict.fromkeys(name for voter in sorted(votes) for name in votes[voter]))


def supporters(votes: Mapping[int, Vote], question: str | None) -> dict[Choice, tuple[int, ...]]:
    """Who made each choice, in the order of the panel."""
    by_choice: dict[Choice, list[int]] = defaultdict(list)
    for voter in sorted(votes):
        by_choice[votes[voter].get(question, MISSING)].append(voter)
    return {choice: tuple(voters) for choice, voters in by_choice.items()}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of an instant runoff.

    Attributes:
        counts: ballots on which each remaining option stands first, in the order of the options.
        eliminated: the option that is out afterwards; None in the last round.
    """

    counts: dict[str, int]
    eliminated: str | None = None


def instant_runoff(
    options: Sequence[str], ballots: Collection[Sequence[str]]
) -> tuple[str | None, tuple[Round, ...]]:
    """The winner, None where all that remain are tied, and the rounds.

    In each round a ballot counts for the first of its options that remains; one with none left
    counts no more. More than half of what counts wins. Otherwise the option with the fewest is
    out; of several, the one that comes last in `options`.

    Args:
        ballots: options in order of preference, none twice; not all options have to be there.
    """
    rounds: list[Round] = []
    remaining = list(options)
    while True:
        counts = dict.fromkeys(remaining, 0)
        for ballot in ballots:
            for option in ballot:
                if option in counts:
                    counts[option] += 1
                    break
        best, fewest = max(counts.values()), min(counts.values())
        if 2 * best > sum(counts.values()):
            rounds.append(Round(counts=counts))
            return max(counts, key=counts.__getitem__), tuple(rounds)
        if best == fewest:
            rounds.append(Round(counts=counts))
            return None, tuple(rounds)
        out = [option for option in remaining if counts[option] == fewest][-1]
        rounds.append(Round(counts=counts, eliminated=out))
        remaining.remove(out)
