#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes copies of Berth's sources in which one of many bugs can be switched on: production code knows nothing of them.

    plant.py files                     the sources that have a bug planted, one a line
    plant.py plant SOURCE_DIR FILE OUT    writes FILE with its bugs to OUT

A bug is a piece of text, which must be in its file exactly once, and what stands there instead; BUG(kName) is true while
the test has it switched on (planted.h). Whoever changes such a line changes it here too: the build says which.
"""
import pathlib
import re
import sys

# file -> [(text, planted text)]
BUGS = {
    "controller/core/services.cc": [
        # kFreeBeforeWithdraw: written as free while agents may still announce it
        ("  if (withdrawing.empty()) Write(r);",
         "  if (withdrawing.empty() || BUG(kFreeBeforeWithdraw)) Write(r);"),
        # kForgetWaiters: what was freed is offered to nobody
        ("void Services::Wake() {\n",
         "void Services::Wake() {\n  if (BUG(kForgetWaiters)) return;\n"),
    ],
    "controller/core/services_write.cc": [
        # kForgetUnknownWrite: a write without an answer counts as one that did not happen
        ("  if (absl::IsAborted(status) && !r.unknown) {\n",
         "  if ((absl::IsAborted(status) && !r.unknown) || BUG(kForgetUnknownWrite)) {\n"),
    ],
    "controller/core/agents.cc": [
        # kNoTermCheck: terms are not compared, by nobody: either side alone makes up for the other
        ("  if (hello.highest_term > ctx_.term) observer_",
         "  if (hello.highest_term > ctx_.term && !BUG(kNoTermCheck)) observer_"),
    ],
    "controller/core/agents_elder.cc": [
        # kNoRoomMade: the newer of two agents of a node begins before the older one lets go
        ("  if (elder.told == answer_on) return elder.confirmed;\n",
         "  if (elder.told == answer_on || BUG(kNoRoomMade)) return true;\n"),
    ],
    "controller/core/controller_core.cc": [
        # kNoStartGate: a new leader decides at once
        ("  if (!everybody && ctx_.now < gate_deadline_) return;\n",
         "  if (!everybody && ctx_.now < gate_deadline_ && !BUG(kNoStartGate)) return;\n"),
        # kDeposedGoesOn: who led once leads for ever
        ("  leader_name_ = e.leader_name;\n  if (!e.leader) {\n",
         "  if (BUG(kDeposedGoesOn) && leader_ && !e.leader) return;\n"
         "  leader_name_ = e.leader_name;\n  if (!e.leader) {\n"),
    ],
    "controller/core/holders.cc": [
        # kTakeOverUnasked: a holder out of contact counts as dead
        ("  return in_contact ? StartMove(h, target) : Verify(h, target);\n",
         "  if (BUG(kTakeOverUnasked) && !in_contact) return Announce(h, target);\n"
         "  return in_contact ? StartMove(h, target) : Verify(h, target);\n"),
    ],
    "controller/core/holders_contact.cc": [
        # kNoQuarantine: an address is free although an agent has not let go of it
        ("void Holders::Quarantine(const IpAddr& address, const std::string& node) {\n",
         "void Holders::Quarantine(const IpAddr& address, const std::string& node) {\n"
         "  if (BUG(kNoQuarantine)) return;\n"),
        # kAdoptNothing: a new leader takes no notice of who announces what
        ("    if (!agent.connected()) continue;\n    const auto hear =",
         "    if (!agent.connected() || BUG(kAdoptNothing)) continue;\n    const auto hear ="),
        ("void Holders::AdoptFrom(Agent& agent) {\n",
         "void Holders::AdoptFrom(Agent& agent) {\n  if (BUG(kAdoptNothing)) return;\n"),
    ],
    "controller/plan/sharing.cc": [
        # kShareAnyPort: sharers are not asked for their ports
        ("std::optional<Reason> PortRefusal(const Claim& claim, const Claim& owner) {\n",
         "std::optional<Reason> PortRefusal(const Claim& claim, const Claim& owner) {\n"
         "  if (BUG(kShareAnyPort)) return std::nullopt;\n"),
    ],
    "agent/core/core_desired.cc": [
        # kNoTermCheck: whoever speaks is obeyed
        ("  if (term < highest_term_) {\n", "  if (term < highest_term_ && !BUG(kNoTermCheck)) {\n"),
        # kIgnoreSuperseded: the older of two agents of a node stays
        ("void AgentCore::Impl::Obey(const sync::Superseded& m) {\n",
         "void AgentCore::Impl::Obey(const sync::Superseded& m) {\n  if (BUG(kIgnoreSuperseded)) return;\n"),
    ],
    "agent/core/core_events.cc": [
        # kNoMuteAfterFreeze: an agent that stood still goes on as if nothing had happened
        ("  if (!last_now_.has_value() || now_ - *last_now_ <= settings_.agent_timeout) return;\n",
         "  if (!last_now_.has_value() || now_ - *last_now_ <= settings_.agent_timeout || BUG(kNoMuteAfterFreeze)) {\n"
         "    return;\n  }\n"),
        # kIgnoreFlush: the kernel's silence is not repaired
        ("void AgentCore::Impl::On(const SilenceDisturbed&) {\n",
         "void AgentCore::Impl::On(const SilenceDisturbed&) {\n  if (BUG(kIgnoreFlush)) return;\n"),
    ],
    "agent/core/core_voice.cc": [
        # kNoMuteOnYield: the former holder goes on beside its successor
        ("  if (has(a.yield_to)) {\n", "  if (has(a.yield_to) && BUG(kNoMuteOnYield)) return;\n  if (has(a.yield_to)) {\n"),
        # kNoMuteForRival: an agent does not mind another candidate
        ("  if (rival != a.candidates.end()) {\n",
         "  if (rival != a.candidates.end() && BUG(kNoMuteForRival)) return;\n  if (rival != a.candidates.end()) {\n"),
        # kDiskUnasked: what the disk says is announced without asking the LAN
        ("  if (!ask.empty()) ProbeOwn(ask);\n",
         "  if (BUG(kDiskUnasked)) {\n    for (const IpAddr& address : ask) Unmute(entries_.at(address));\n"
         "    return;\n  }\n  if (!ask.empty()) ProbeOwn(ask);\n"),
    ],
    "agent/core/core_kernel.cc": [
        # kIgnoreDrift: an address that somebody took off the node stays off
        ("  if (!authoritative_) return;\n  if (entry.established) {\n",
         "  if (!authoritative_ || (entry.established && BUG(kIgnoreDrift))) return;\n  if (entry.established) {\n"),
    ],
}


def plant(source_dir: str, file: str, out: str) -> None:
    path = pathlib.Path(source_dir) / file
    text = path.read_text()
    for old, new in BUGS[file]:
        if text.count(old) != 1:
            sys.exit(f"{file}: a bug is planted in this text, which is there {text.count(old)} times, not once; "
                     f"adapt tests/system/planted/plant.py:\n{old}")
        text = text.replace(old, new)
    text = re.sub(r"\bBUG\((k\w+)\)", r"::berth::planted::Is(::berth::planted::Bug::\1)", text)
    target = pathlib.Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f'#include "tests/system/planted/planted.h"\n#line 1 "{path}"\n{text}')


if __name__ == "__main__":
    if sys.argv[1:] == ["files"]:
        print("\n".join(BUGS))
    elif len(sys.argv) == 5 and sys.argv[1] == "plant":
        plant(*sys.argv[2:])
    else:
        sys.exit(__doc__)
