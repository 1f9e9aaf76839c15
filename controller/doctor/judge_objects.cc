// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "absl/strings/str_join.h"
#include "controller/doctor/findings.h"

namespace berth::doctor {
namespace {

constexpr std::size_t kMostAlike = 10;  // objects that have a finding each; others like them are counted
constexpr absl::Duration kPatience = absl::Seconds(2);  // for what is about to be announced

bool Passes(const std::string& reason) {  // by itself, within moments
  static const std::set<std::string> kPassing = {"Probing", "Starting", "Writing", "Releasing"};
  return kPassing.count(reason) != 0;
}

void TellMore(const std::map<std::string, std::size_t>& alike, const char* object, const char* what, Findings& out) {
  for (const auto& [why, count] : alike) {
    if (count <= kMostAlike) continue;
    out.Error(object, absl::StrCat(count - kMostAlike, " more", why.empty() ? "" : ": ", why),
              absl::StrCat("berthctl get ", what, " -o wide lists them all"));
  }
}

}  // namespace

void JudgeAddresses(const Patient& patient, Findings& out) {
  std::map<std::string, std::size_t> unheld;
  for (const model::AddressView& a : patient.addresses) {
    const std::string object = absl::StrCat("address ", a.address.ToString());
    if (a.state == model::AddressState::kConflict) {
      out.Error(object, absl::StrCat("a stranger uses it: ", a.message),
                "find that machine (the switch's MAC table tells its port) and take the address from it, or take the "
                "address out of its Eip");
      continue;
    }
    if (a.state != model::AddressState::kUnheld || patient.wall_now - a.since < kPatience) continue;
    if (++unheld[""] > kMostAlike) continue;
    const std::string why = a.refusals.empty() ? "" : absl::StrCat(": ", SomeOf(a.refusals));
    out.Error(object, absl::StrCat("nobody announces it, ", a.message.empty() ? "no node can hold it" : a.message, why),
              a.protocol == model::Protocol::kLayer2
                  ? "mend what is said of one of the nodes; where it is the interface, spec.interface of the Eip"
                  : "use an Eip with spec.protocol layer2: others are allocated only, as yet");
  }
  TellMore(unheld, "addresses", "addresses", out);
}

void JudgeServices(const Patient& patient, Findings& out) {
  std::map<std::string, std::size_t> pending;
  for (const model::ServiceView& s : patient.services) {
    if (s.state != model::ServiceState::kPending || Passes(s.reason)) continue;
    if (++pending[s.reason] > kMostAlike) continue;
    out.Error(absl::StrCat("service ", s.id.ToString()),
              absl::StrCat("has no address, ", s.reason, s.message.empty() ? "" : ": ", s.message),
              absl::StrCat("mend what is said there; berthctl explain service ", s.id.ToString(),
                           " shows which Eips were looked at"));
  }
  TellMore(pending, "services", "services", out);
}

void JudgePools(const Patient& patient, Findings& out) {
  for (const model::PoolView& p : patient.pools) {
    const std::string object = absl::StrCat("pool ", p.name);
    if (p.trouble) {
      out.Warning(object, p.message, absl::StrCat("mend the Eip: kubectl edit eip ", p.name));
    }
    if (!p.conflicted.empty()) {
      std::vector<std::string> conflicted;
      for (const IpAddr& a : p.conflicted) conflicted.push_back(a.ToString());
      out.Warning(
          object,
          absl::StrCat("others on the LAN answer for ", Counted(conflicted.size(), "address", "addresses"),
                       " of it, which ", conflicted.size() == 1 ? "is" : "are", " not given out: ", SomeOf(conflicted)),
          "take these addresses from the machines that have them, or out of the Eip; they are asked about each "
          "minute");
    }
    // One of a single address is meant for a single Service.
    const bool full = p.total > AddressCount(1) && p.total <= p.used;
    if (full && !p.disabled) {
      out.Warning(object, absl::StrCat("all ", p.total.ToString(), " addresses are in use: the next Service waits"),
                  "add an Eip with another range, widen spec.address of this one, or delete Services");
    }
  }
}

}  // namespace berth::doctor
