// SPDX-License-Identifier: Apache-2.0
#include "common/sync/interface_rule.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/net/quote.h"

namespace berth::sync {
namespace {

constexpr std::size_t kMaxName = 15;  // IFNAMSIZ less the terminating zero
constexpr std::size_t kMaxNames = 32;
constexpr std::size_t kMaxRule = 253;               // what the wire lets pass as a name
constexpr std::int64_t kPatternMemory = 256 << 10;  // of the compiled pattern and its states
constexpr std::size_t kNamed = 12;                  // in one text

// Interfaces of pods, of overlays and of Kubernetes' own, by the beginning of their names. Every load balancer that
// looks at all interfaces has such a list, and these are on all of them.
constexpr std::array<absl::string_view, 16> kNeverMeant = {
    "veth", "cali", "cni",     "docker", "cbr", "dummy", "virbr",      "lxcbr",
    "lxc",  "tunl", "flannel", "cilium", "br-", "weave", "kube-ipvs0", "nodelocaldns"};

bool NeverMeant(const std::string& name) {
  return name == "lo" || std::any_of(kNeverMeant.begin(), kNeverMeant.end(),
                                     [&](absl::string_view prefix) { return absl::StartsWith(name, prefix); });
}

// The length of the longest of `cidrs` that has `address`; -1 when none has.
int LongestWith(const IpAddr& address, const std::vector<Cidr>& cidrs) {
  int longest = -1;
  for (const Cidr& c : cidrs) {
    if (c.length() > longest && c.Contains(address)) longest = c.length();
  }
  return longest;
}

bool HasDefaultRoute(const InterfaceInfo& interface, Family family) {
  return std::any_of(interface.routes.begin(), interface.routes.end(),
                     [&](const Cidr& c) { return c.length() == 0 && c.address().family() == family; });
}

absl::Status CheckName(absl::string_view name) {
  if (name == "lo") {
    return absl::InvalidArgumentError("invalid interface lo; name one that reaches the LAN");
  }
  constexpr absl::string_view kNever = "/ \t\r\n*+?^$()[]{}|\\";
  if (name.find_first_of(kNever) != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("no interface is called ", Quote(name),
                                                   "; write a name such as eth0, or a pattern as regex:eth[0-9]+"));
  }
  if (name.empty() || name.size() > kMaxName || name == "." || name == "..") {
    return absl::InvalidArgumentError(
        absl::StrCat("no Linux interface can be called ", Quote(name), "; names have 1 to ", kMaxName, " characters"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const re2::RE2>> Compile(absl::string_view pattern) {
  if (pattern.empty()) return absl::InvalidArgumentError("the pattern is empty; write one such as regex:eth[0-9]+");
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto compiled = std::make_shared<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (compiled->ok()) return compiled;
  return absl::InvalidArgumentError(absl::StrCat("the pattern ", Quote(pattern), " cannot be read: ", compiled->error(),
                                                 "; write it as for RE2, for example regex:eth[0-9]+"));
}

}  // namespace

absl::StatusOr<InterfaceRule> InterfaceRule::Parse(absl::string_view text) {
  if (text.size() > kMaxRule) {
    return absl::InvalidArgumentError(absl::StrCat("has ", text.size(), " characters, more than ", kMaxRule));
  }
  InterfaceRule rule;
  rule.text_ = std::string(text);
  if (text == "auto") return rule;
  if (absl::string_view rest = text; absl::ConsumePrefix(&rest, "can_reach:")) {
    const absl::StatusOr<IpAddr> target = IpAddr::Parse(rest);
    if (!target.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("invalid can_reach address ", Quote(rest),
                                                     "; write one IP, for example can_reach:192.168.50.1"));
    }
    if (target->is_loopback()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid interface lo, by which ", target->ToString(), " is reached; write an IP of the LAN"));
    }
    if (target->is_unspecified() || target->is_multicast()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid can_reach address ", Quote(rest), ", which is no host's; write an IP of the LAN"));
    }
    rule.kind_ = Kind::kCanReach;
    rule.target_ = *target;
    return rule;
  }
  if (absl::string_view rest = text; absl::ConsumePrefix(&rest, "regex:")) {
    absl::StatusOr<std::shared_ptr<const re2::RE2>> pattern = Compile(rest);
    if (!pattern.ok()) return pattern.status();
    rule.kind_ = Kind::kPattern;
    rule.pattern_ = *std::move(pattern);
    return rule;
  }
  if (absl::StrContains(text, ':')) {
    return absl::InvalidArgumentError(
        "invalid interface string; write a name, a comma list of names, regex:PATTERN, can_reach:IP, or auto");
  }
  rule.kind_ = Kind::kNames;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const absl::string_view name = absl::StripAsciiWhitespace(part);
    if (absl::Status status = CheckName(name); !status.ok()) return status;
    rule.names_.emplace_back(name);
  }
  if (rule.names_.size() > kMaxNames) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kMaxNames, " names; write a pattern as regex:eth[0-9]+"));
  }
  return rule;
}

absl::StatusOr<const InterfaceInfo*> InterfaceRule::Choose(const IpAddr& address,
                                                           const std::vector<InterfaceInfo>& interfaces) const {
  const InterfaceInfo* best = nullptr;
  if (kind_ == Kind::kCanReach) {
    best = ByRoute(target_, interfaces);
  } else {
    // Smaller is better.
    using Rank = std::tuple<int, bool, std::size_t, const std::string&>;
    const auto rank_of = [&](const InterfaceInfo& i, std::size_t order) {
      return Rank(-LongestWith(address, i.prefixes), !i.up, order, i.name);
    };
    std::size_t best_order = 0;
    for (const InterfaceInfo& i : interfaces) {
      std::size_t order = HasDefaultRoute(i, address.family()) ? 0 : 1;
      if (kind_ == Kind::kNames) {
        const auto named = std::find(names_.begin(), names_.end(), i.name);
        if (named == names_.end()) continue;
        order = static_cast<std::size_t>(named - names_.begin());
      } else if (NeverMeant(i.name)) {
        continue;
      } else if (kind_ == Kind::kPattern) {
        if (!re2::RE2::FullMatch(i.name, *pattern_)) continue;
      } else if (LongestWith(address, i.prefixes) < 0 && order != 0) {
        continue;
      }
      if (best != nullptr && rank_of(*best, best_order) <= rank_of(i, order)) continue;
      best = &i;
      best_order = order;
    }
  }
  if (best != nullptr) return best;
  return absl::NotFoundError(WhyNone(address, interfaces));
}

const InterfaceInfo* InterfaceRule::ByRoute(const IpAddr& target, const std::vector<InterfaceInfo>& interfaces) const {
  const InterfaceInfo* best = nullptr;
  int longest = -1;
  for (const InterfaceInfo& i : interfaces) {
    if (NeverMeant(i.name)) continue;
    const int length = std::max(LongestWith(target, i.prefixes), LongestWith(target, i.routes));
    if (length < 0) continue;
    const bool better = best == nullptr || length > longest ||
                        (length == longest && std::tuple(!i.up, i.name) < std::tuple(!best->up, best->name));
    if (!better) continue;
    best = &i;
    longest = length;
  }
  return best;
}

std::string InterfaceRule::WhyNone(const IpAddr& address, const std::vector<InterfaceInfo>& interfaces) const {
  std::string why;
  switch (kind_) {
    case Kind::kNames:
      why = names_.size() == 1 ? absl::StrCat("no interface ", names_.front())
                               : absl::StrCat("none of the interfaces ", absl::StrJoin(names_, ", "));
      break;
    case Kind::kPattern:
      why = absl::StrCat("no interface that matches ", text_);
      break;
    case Kind::kCanReach:
      why = absl::StrCat("no route to ", target_.ToString());
      break;
    case Kind::kAuto:
      why = absl::StrCat("no interface whose subnet has ", address.ToString(), ", and no default route for ",
                         FamilyName(address.family()));
      break;
  }
  std::vector<std::string> names;
  for (const InterfaceInfo& i : interfaces) {
    if (kind_ != Kind::kNames && NeverMeant(i.name)) continue;
    if (names.size() == kNamed) {
      names.push_back("others");
      break;
    }
    names.push_back(i.name);
  }
  return absl::StrCat(
      why, names.empty() ? std::string(" (it has none)") : absl::StrCat(" (it has ", absl::StrJoin(names, ", "), ")"));
}

}  // namespace berth::sync
