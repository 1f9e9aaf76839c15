// SPDX-License-Identifier: Apache-2.0
#include "agent/diff/resolve.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/diff/kernel_view.h"

namespace berth::agent {
namespace {

using sync::RejectCode;
using sync::Rejection;

std::string NamesOf(const KernelState& state) {
  constexpr std::size_t kMost = 12;  // a node with many pods has hundreds of links
  std::vector<std::string> names;
  for (const sync::InterfaceInfo& i : LanInterfaces(state)) names.push_back(i.name);
  if (names.empty()) return "none";
  const std::size_t more = names.size() > kMost ? names.size() - kMost : 0;
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "), more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

}  // namespace

std::variant<PortInterface, Rejection> ResolveInterface(const std::string& rule, const KernelState& state) {
  const Link* link = state.Find(rule);
  if (link == nullptr) {
    return Rejection{
        .address = {},
        .code = RejectCode::kInterfaceMissing,
        .message = absl::StrCat("interface \"", rule, "\" does not exist, this node has: ", NamesOf(state)),
        .rival = {}};
  }
  if (link->loopback || !link->ethernet) {
    return Rejection{.address = {},
                     .code = RejectCode::kInterfaceMissing,
                     .message = absl::StrCat("interface \"", rule,
                                             "\" is no Ethernet interface with ARP, this node has: ", NamesOf(state)),
                     .rival = {}};
  }
  if (link->master != 0) {
    const Link* master = state.Find(link->master);
    return Rejection{.address = {},
                     .code = RejectCode::kInterfaceMissing,
                     .message = absl::StrCat("interface \"", rule, "\" is a port of \"",
                                             master != nullptr ? master->name : "another link", "\", name that one"),
                     .rival = {}};
  }
  if (!link->up || !link->carrier) {
    return Rejection{.address = {},
                     .code = RejectCode::kInterfaceDown,
                     .message = absl::StrCat("interface \"", rule, "\" ", link->up ? "has no carrier" : "is down"),
                     .rival = {}};
  }
  return PortInterface{.index = link->index, .name = link->name, .mac = link->mac};
}

}  // namespace berth::agent
