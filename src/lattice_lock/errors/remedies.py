"""What to do next about each error, by its code; for pages that explain errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REMEDIES"]

REMEDIES: Final[Mapping[str, str]] = {
    "LL-000": "Never raised itself; every other code is one of these.",
    "LL-100": "Mend the places that the message lists as file:line:column.",
    "LL-101": "Mend the YAML at the place named.",
    "LL-102": "Write what the message says was expected at the place named.",
    "LL-103": "Use only names, attributes and functions that the clause may use.",
    "LL-110": "Mend the places that the message lists as file:line:column.",
    "LL-111": "Weaken the precondition until some input meets it, or strengthen the post-condition "
    "until some result breaks it.",
    "LL-112": "Change the type or constraint named, or do without that output.",
    "LL-113": "Move your code elsewhere, or allow the overwrite with the option that the message "
    "names.",
    "LL-120": "Restore `lattice.lock` from version control, or delete it and compile again.",
    "LL-130": "Check that the folder exists and can be read.",
    "LL-131": "Run the command in a project's folder or name one; `lattice-lock init` makes one.",
    "LL-132": "Wait for the other command, then repeat.",
    "LL-133": "Make the folder writable or free some space, then repeat; nothing was changed.",
    "LL-200": "Check that the file named exists and is Python of a supported version.",
    "LL-300": "See the message; the implementation was not judged.",
    "LL-301": "Run `lattice-lock doctor`: it says what could confine code here.",
    "LL-302": "Repeat; if it fails again, report it with the output of `lattice-lock doctor`.",
    "LL-400": "See the more specific code.",
    "LL-401": "Mend the policy at the place named.",
    "LL-402": "Change what the policy refused; the message names policy and rule, not the content.",
    "LL-500": "See the more specific code.",
    "LL-501": "Check the address and the network; the call was repeated as often as allowed.",
    "LL-502": "Repeat, allow more time, or use a faster model.",
    "LL-503": "Repeat; the part that arrived is not a whole answer.",
    "LL-504": "Run `lattice-lock doctor`: it says what the provider lacks.",
    "LL-510": "Set a valid key in the provider's environment variable.",
    "LL-511": "Ask the provider's account owner for the permission, or use another model.",
    "LL-512": "Add credit or raise the quota, or use another provider.",
    "LL-513": "Wait as long as the message says; fewer calls at a time avoid it.",
    "LL-514": "Wait and repeat, or use another model.",
    "LL-515": "Repeat later; the provider's status page may say more.",
    "LL-520": "Use the successor that the message names, or a model from `lattice-lock models`.",
    "LL-521": "Change the parameter that the message names.",
    "LL-522": "Shorten the prompt, ask for fewer tokens, or use a model with a larger window.",
    "LL-523": "Change the prompt; the provider's own filter refused it.",
    "LL-524": "Repeat once.",
    "LL-525": "Check that the address is that of the named protocol; report it if it is.",
    "LL-526": "Allow more models, or see with `lattice-lock policies run` what is refused.",
    "LL-530": "See each cause; `lattice-lock doctor` shows which providers can run.",
    "LL-540": "See the more specific code.",
    "LL-541": "Raise the budget, ask a cheaper model, or bound the answer's length.",
    "LL-542": "Run `lattice-lock route PROMPT --explain`: it says for each model why not.",
    "LL-543": "See what each member answered; add members, lower the quorum, or ask a judge.",
    "LL-544": "Mend the chain, the input or the state file at the place named.",
    "LL-545": "Raise the limit that the message names, or see what the tools answered.",
    "LL-546": "See the cause; run the chain again with the same `--state` to go on from there.",
    "LL-600": "See the message; no file was changed.",
    "LL-700": "Sign in again, or ask for the permission.",
    "LL-750": "Check the storage named in the configuration.",
    "LL-801": "Correct the setting or the environment variable that the message names.",
    "LL-802": "See the command's `--help`.",
    "LL-810": "Check the network and the free space, then pull again; nothing was kept.",
    "LL-900": "Set `LATTICE_LOCK_DEBUG=1`, repeat, and report the traceback.",
}
"""One or two sentences for every code of `lattice_lock.exceptions`."""
