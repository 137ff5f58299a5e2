"""How servers of the OpenAI family count tokens and money, where they differ."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["all_output_tokens", "cost_of_ticks"]


def all_output_tokens(prompt: int, output: int, reasoning: int, *, total: int | None) -> int:
    """Tokens of the answer with those of the reasoning, which xAI counts beside and not inside.

    The total tells: it exceeds prompt and output by exactly the reasoning. So does reasoning that
    exceeds the output.
    """
    beside = reasoning > output or total == prompt + output + reasoning
    return output + reasoning if beside else output


def cost_of_ticks(ticks: int | None) -> Decimal | None:
    """US dollars that xAI says the call costs, None where it says none; it counts in 1e-10.

    Source: https://docs.x.ai/developers/cost-tracking.
    """
    return None if ticks is None or ticks < 0 else Decimal(ticks).scaleb(-10)
