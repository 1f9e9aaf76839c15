// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/choose_pool.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/net/quote.h"

namespace berth::plan {
namespace {

using model::Pool;

bool BoundTo(const Pool& pool, const Request& request) {
  const std::string& ns = request.service.id.ns;
  if (std::find(pool.namespaces.begin(), pool.namespaces.end(), ns) != pool.namespaces.end()) return true;
  if (!pool.namespace_selector || pool.namespace_selector->empty()) return false;
  return std::all_of(pool.namespace_selector->begin(), pool.namespace_selector->end(), [&request](const auto& wanted) {
    const auto it = request.namespace_labels.find(wanted.first);
    return it != request.namespace_labels.end() && it->second == wanted.second;
  });
}

bool MayServe(const Pool& pool, const Request& request) {
  return !pool.namespace_bound() || request.rules.advisory_namespace_binding || BoundTo(pool, request);
}

std::string Described(const Pool& pool) { return absl::StrCat("Eip ", Quote(pool.name)); }

bool ProtocolFits(const Pool& pool, const Request& request) {
  return !request.wish.protocol || *request.wish.protocol == pool.protocol;
}

Reason FamilyMismatch(const Pool& pool, const Request& request) {
  const std::string families =
      absl::StrJoin(request.families, ", ", [](std::string* out, Family f) { absl::StrAppend(out, FamilyName(f)); });
  return {reason::kFamilyMismatch,
          absl::StrCat("service can't use different family eip: ", Described(pool), " is ", FamilyName(pool.family),
                       " but spec.ipFamilies of the Service is ", families,
                       "; name an Eip of that family in annotation ", model::kPoolAnnotation)};
}

// `refused` is one of Ledger::refused().
Reason Refused(const std::pair<const std::string, std::string>& refused, absl::string_view before) {
  const auto& [name, why] = refused;
  return {reason::kPoolRefused, absl::StrCat(before, "Eip ", Quote(name), " is refused: ", why, "; correct that Eip")};
}

Reason Deleting(const Pool& pool) {
  return {reason::kPoolDeleting,
          absl::StrCat("eip:", pool.name, " is deleting: ", Described(pool),
                       " gives no new addresses; use another Eip, or create it again once it is gone")};
}

Reason Disabled(const Pool& pool) {
  return {reason::kPoolDisabled, absl::StrCat("eip:", pool.name, " is disabled: spec.disable of ", Described(pool),
                                              " is true; set it to false, or use another Eip")};
}

// What is said of the pool's addresses that strangers answer for; "" where there are none.
std::string Conflicted(const Pool& pool, const Ledger& ledger) {
  constexpr std::size_t kNamed = 5;
  std::vector<std::string> named;
  std::size_t count = 0;
  for (const IpAddr& address : ledger.conflicted()) {
    if (!pool.addresses.Contains(address)) continue;
    if (++count <= kNamed) named.push_back(address.ToString());
  }
  if (count == 0) return "";
  return absl::StrCat(", ", count, count == 1 ? " is" : " are",
                      " answered for by somebody else on the LAN: ", absl::StrJoin(named, ", "),
                      count > kNamed ? " and more" : "");
}

Reason Exhausted(const Pool& pool, const Ledger& ledger) {
  return {
      reason::kPoolExhausted,
      absl::StrCat("no suitable ip to allocate: none of the ", ledger.Capacity(pool.name).ToString(), " addresses of ",
                   Described(pool), " (", pool.address_text, ") is free, ", ledger.UsedCount(pool.name), " are in use",
                   Conflicted(pool, ledger), "; widen its spec.address, or release a Service")};
}

// Why an Eip that the user pointed at, by name or by an address in it, cannot be used at all. `field` is where.
std::optional<Reason> RefusePointedAt(const Pool& pool, const Request& request, absl::string_view field) {
  if (!MayServe(pool, request)) {
    return Reason{
        reason::kNamespaceNotAllowed,
        absl::StrCat(field, " leads to ", Described(pool), ", which is bound to other namespaces than ",
                     Quote(request.service.id.ns), "; add it to spec.namespaces of the Eip, or use another Eip")};
  }
  if (pool.deleting) return Deleting(pool);
  if (!ProtocolFits(pool, request)) {
    return Reason{reason::kProtocolMismatch,
                  absl::StrCat(field, " leads to ", Described(pool), " of protocol ",
                               model::ProtocolName(pool.protocol), ", but annotation ", model::kProtocolAnnotation,
                               " is ", model::ProtocolName(*request.wish.protocol), "; change one of them")};
  }
  if (pool.disable) return Disabled(pool);
  return std::nullopt;
}

PoolChoice ChoosePointedAt(const Pool& pool, const Request& request, Family family, absl::string_view field) {
  PoolChoice choice{.pool = nullptr, .reason = {}, .looked_at = {pool.name}};
  if (auto refusal = RefusePointedAt(pool, request, field)) {
    choice.reason = *std::move(refusal);
    return choice;
  }
  const auto wanted = request.wish.addresses.find(family);
  if (wanted == request.wish.addresses.end()) {
    if (!request.ledger.LowestFree(pool.name)) {
      choice.reason = Exhausted(pool, request.ledger);
      return choice;
    }
  } else if (!pool.addresses.Contains(wanted->second.address)) {
    const std::string address = wanted->second.address.ToString();
    choice.reason = {
        reason::kAddressNotInPool,
        absl::StrCat("the specified ip:", address, " is beyond the range of eip[", pool.name, ":", pool.address_text,
                     "]: ", wanted->second.field, " asks for ", address, ", which is not in ", Described(pool),
                     "; change ", wanted->second.field, " or ", field)};
    return choice;
  }
  choice.pool = &pool;
  return choice;
}

// The Eips that one automatic step found, ranked by `rank` (lower first); decides among them.
template <typename Rank>
PoolChoice Best(std::vector<const Pool*> found, const Ledger& ledger, Rank rank) {
  const auto state = [&ledger](const Pool& pool) {
    if (pool.disable) return 2;
    return ledger.LowestFree(pool.name) ? 0 : 1;
  };
  std::vector<std::pair<int, const Pool*>> ranked;
  ranked.reserve(found.size());
  for (const Pool* pool : found) ranked.emplace_back(state(*pool), pool);
  std::sort(ranked.begin(), ranked.end(), [&rank](const auto& a, const auto& b) {
    return std::make_tuple(a.first, rank(*a.second), a.second->name) <
           std::make_tuple(b.first, rank(*b.second), b.second->name);
  });
  PoolChoice choice;
  for (const auto& [unused, pool] : ranked) choice.looked_at.push_back(pool->name);
  const auto& [best_state, best] = ranked.front();
  if (best_state == 0) choice.pool = best;
  if (best_state == 1) choice.reason = Exhausted(*best, ledger);
  if (best_state == 2) choice.reason = Disabled(*best);
  return choice;
}

// Why no automatic step found anything: the nearest miss.
PoolChoice NothingFound(const Request& request, Family family) {
  PoolChoice choice;
  const Pool* deleting = nullptr;
  const Pool* bound_elsewhere = nullptr;
  const Pool* other_protocol = nullptr;
  const Pool* other_family = nullptr;
  for (const auto& [name, pool] : request.ledger.pools()) {
    const Pool*& slot = pool.family != family          ? other_family
                        : !ProtocolFits(pool, request) ? other_protocol
                        : !MayServe(pool, request)     ? bound_elsewhere
                                                       : deleting;
    if (slot == nullptr) slot = &pool;
    choice.looked_at.push_back(name);
  }
  const std::string what = absl::StrCat(
      request.wish.protocol ? absl::StrCat(model::ProtocolName(*request.wish.protocol), " ") : std::string(),
      FamilyName(family), " Eip");
  const std::string none = absl::StrCat("no available default eip found, and no ", what, " is bound to namespace ",
                                        Quote(request.service.id.ns), " or open to all");
  if (deleting != nullptr) {
    choice.reason = Deleting(*deleting);
  } else if (bound_elsewhere != nullptr) {
    choice.reason = {
        reason::kNamespaceNotAllowed,
        absl::StrCat(none, ": ", Described(*bound_elsewhere),
                     " is bound to other namespaces; add this one to its spec.namespaces, or create an Eip")};
  } else if (other_protocol != nullptr) {
    choice.reason = {reason::kProtocolMismatch,
                     absl::StrCat(none, ": ", Described(*other_protocol), " is of protocol ",
                                  model::ProtocolName(other_protocol->protocol), "; change annotation ",
                                  model::kProtocolAnnotation, ", or create an Eip")};
  } else if (other_family != nullptr) {
    choice.reason = FamilyMismatch(*other_family, request);
  } else if (!request.ledger.refused().empty()) {
    choice.reason = Refused(*request.ledger.refused().begin(), absl::StrCat(none, ": "));
  } else {
    choice.reason = {reason::kNoPool, absl::StrCat(none, "; create one, or make one the default with annotation ",
                                                   model::kDefaultPoolAnnotation)};
  }
  return choice;
}

PoolChoice ChooseAutomatically(const Request& request, Family family) {
  std::vector<const Pool*> bound, defaults, open;
  for (const auto& [name, pool] : request.ledger.pools()) {
    if (pool.deleting || pool.family != family || !ProtocolFits(pool, request)) continue;
    if (pool.namespace_bound() && BoundTo(pool, request)) bound.push_back(&pool);
    if (pool.is_default && MayServe(pool, request)) defaults.push_back(&pool);
    if (!pool.namespace_bound()) open.push_back(&pool);
  }
  const auto by_priority = [](const Pool& pool) { return std::make_pair(0, pool.priority); };
  if (!bound.empty()) return Best(bound, request.ledger, by_priority);
  if (!defaults.empty()) return Best(defaults, request.ledger, by_priority);
  if (open.empty()) return NothingFound(request, family);
  return Best(open, request.ledger, [](const Pool& pool) {
    return std::make_pair(pool.protocol == model::Protocol::kBgp ? 0 : 1, pool.priority);
  });
}

}  // namespace

NamedPool FindNamed(const Request& request, Family family) {
  NamedPool named;
  const std::string field = absl::StrCat("annotation ", model::kPoolAnnotation);
  const std::string* missing = nullptr;
  const Pool* foreign = nullptr;
  for (const std::string& name : request.wish.pools) {
    const Pool* pool = request.ledger.FindPool(name);
    if (pool == nullptr) {
      missing = &name;
    } else if (pool->family != family) {
      const bool ours = std::count(request.families.begin(), request.families.end(), pool->family) != 0;
      if (!ours) foreign = pool;
    } else if (named.pool == nullptr || named.pool == pool) {
      named.pool = pool;
    } else {
      return NamedPool{nullptr,
                       Reason{reason::kInvalidRequest,
                              absl::StrCat(field, " names two ", FamilyName(family), " Eips, ", Quote(named.pool->name),
                                           " and ", Quote(name), "; keep one for each family")}};
    }
  }
  if (named.pool != nullptr) return named;
  if (missing != nullptr) {
    const auto refused = request.ledger.refused().find(*missing);
    named.problem = refused != request.ledger.refused().end()
                        ? Refused(*refused, absl::StrCat(field, ": "))
                        : Reason{reason::kPoolNotFound,
                                 absl::StrCat("Eip.network.kubesphere.io ", Quote(*missing), " not found: ", field,
                                              " names it; create that Eip or name another")};
  } else if (foreign != nullptr) {
    named.problem = FamilyMismatch(*foreign, request);
  }
  return named;
}

PoolChoice ChoosePool(const Request& request, Family family) {
  const NamedPool named = FindNamed(request, family);
  if (named.problem) return PoolChoice{nullptr, *named.problem, request.wish.pools};
  if (named.pool != nullptr) {
    return ChoosePointedAt(*named.pool, request, family, absl::StrCat("annotation ", model::kPoolAnnotation));
  }
  const auto wanted = request.wish.addresses.find(family);
  if (wanted == request.wish.addresses.end()) return ChooseAutomatically(request, family);
  const auto& [address, field] = wanted->second;
  if (const Pool* pool = request.ledger.PoolOf(address)) return ChoosePointedAt(*pool, request, family, field);
  return PoolChoice{
      nullptr,
      {reason::kAddressNotInPool, absl::StrCat("no available eip was found containing the ip:[", address.ToString(),
                                               "]: ", field, " asks for it, and no pool contains ", address.ToString(),
                                               "; create an Eip that does, or ask for another address")},
      {}};
}

}  // namespace berth::plan
