// SPDX-License-Identifier: Apache-2.0
#include "agent/diff/resolve.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::agent {
namespace {

using sync::RejectCode;
using sync::Rejection;

Rejection Refuse(RejectCode code, std::string message) {
  return Rejection{.address = {}, .code = code, .message = std::move(message), .rival = {}};
}

// One that is here by that name all the same, though no LAN is behind it: why it is not meant.
Rejection WhyNotThis(const Link& link, const KernelState& state, const std::string& otherwise) {
  const std::string quoted = absl::StrCat("interface \"", link.name, "\" ");
  if (link.loopback || !link.ethernet) {
    return Refuse(RejectCode::kInterfaceMissing,
                  absl::StrCat(quoted, "is no Ethernet interface with ARP: ", otherwise));
  }
  if (link.master == 0) return Refuse(RejectCode::kInterfaceMissing, otherwise);
  const Link* master = state.Find(link.master);
  return Refuse(
      RejectCode::kInterfaceMissing,
      absl::StrCat(quoted, "is a port of \"", master != nullptr ? master->name : "another link", "\", name that one"));
}

}  // namespace

std::variant<PortInterface, Rejection> ResolveInterface(const sync::InterfaceRule& rule, const IpAddr& address,
                                                        const KernelState& state,
                                                        const std::vector<sync::InterfaceInfo>& lan) {
  const absl::StatusOr<const sync::InterfaceInfo*> chosen = rule.Choose(address, lan);
  if (!chosen.ok()) {
    const std::string why = absl::StrCat("this node has ", chosen.status().message());
    const Link* named = rule.IsOneName() ? state.Find(rule.text()) : nullptr;
    return named != nullptr ? WhyNotThis(*named, state, why) : Refuse(RejectCode::kInterfaceMissing, why);
  }
  const Link* link = state.Find((*chosen)->name);
  if (link == nullptr) return Refuse(RejectCode::kInterfaceMissing, absl::StrCat((*chosen)->name, " is gone"));
  if (!link->up || !link->carrier) {
    return Refuse(RejectCode::kInterfaceDown,
                  absl::StrCat("interface \"", link->name, "\" ", link->up ? "has no carrier" : "is down"));
  }
  return PortInterface{.index = link->index, .name = link->name, .mac = link->mac};
}

}  // namespace berth::agent
