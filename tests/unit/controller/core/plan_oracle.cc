// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/controller/core/plan_oracle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::core {
namespace {

using model::Allocation;
using model::Pool;
using model::Service;

bool Buggy(const IpAddr& a) { return a.is_v4() && ((a.number() & 0xff) == 0 || (a.number() & 0xff) == 0xff); }

std::string Said(const Service& service, const char* key) {
  const auto it = service.annotations.find(key);
  return it == service.annotations.end() ? "" : it->second;
}

// What a Service asks for; nullopt when that cannot be read.
struct Wishes {
  std::vector<std::string> pools;
  std::map<Family, IpAddr> addresses;
  std::optional<model::Protocol> protocol;
};
std::optional<Wishes> WishesOf(const Service& service) {
  Wishes wishes;
  const std::string pools = Said(service, model::kPoolAnnotation);
  if (!pools.empty()) wishes.pools = absl::StrSplit(pools, ',');
  for (const std::string& text : {Said(service, model::kAddressAnnotation), service.load_balancer_ip}) {
    if (text.empty()) continue;
    for (const absl::string_view part : absl::StrSplit(text, ',')) {
      const auto address = IpAddr::Parse(part);
      if (!address.ok()) return std::nullopt;
      if (wishes.addresses.try_emplace(address->family(), *address).first->second != *address) return std::nullopt;
    }
  }
  const std::string protocol = Said(service, model::kProtocolAnnotation);
  if (!protocol.empty()) {
    wishes.protocol = model::ParseProtocol(protocol);
    if (!wishes.protocol) return std::nullopt;
  }
  return wishes;
}

const Pool* PoolAt(const Facts& facts, const IpAddr& address) {
  for (const auto& [name, pool] : facts.pools) {
    if (pool.addresses.Contains(address)) return &pool;
  }
  return nullptr;
}

bool Bound(const Pool& pool) {
  return !pool.namespaces.empty() || (pool.namespace_selector && !pool.namespace_selector->empty());
}
bool BoundTo(const Facts& facts, const Pool& pool, const std::string& ns) {
  if (std::count(pool.namespaces.begin(), pool.namespaces.end(), ns) != 0) return true;
  if (!pool.namespace_selector || pool.namespace_selector->empty()) return false;
  const auto labels = facts.namespaces.find(ns);
  if (labels == facts.namespaces.end()) return false;
  return std::includes(labels->second.begin(), labels->second.end(), pool.namespace_selector->begin(),
                       pool.namespace_selector->end());
}
bool Serves(const Facts& facts, const Pool& pool, const Service& service) {
  return !Bound(pool) || facts.rules.advisory_namespace_binding || BoundTo(facts, pool, service.id.ns);
}

bool Usable(const Facts& facts, const Pool& pool, const IpAddr& address) {
  return facts.excluded.count(address) == 0 && facts.blocked.count(address) == 0 &&
         !(pool.avoid_buggy_ips && Buggy(address));
}
std::optional<IpAddr> LowestFree(const Facts& facts, const Pool& pool) {
  for (const IpAddr& address : Universe()) {
    if (!pool.addresses.Contains(address) || !Usable(facts, pool, address)) continue;
    if (facts.OwnersOf(address).empty()) return address;
  }
  return std::nullopt;
}

// The Eip named for a family: `first` false when what is named forbids any.
std::pair<bool, const Pool*> Named(const Facts& facts, const Wishes& wishes, const Service& service, Family family) {
  std::set<const Pool*> named;
  bool missing = false, foreign = false;
  const std::vector<Family> families = Families(service);
  for (const std::string& name : wishes.pools) {
    const auto it = facts.pools.find(name);
    if (it == facts.pools.end()) {
      missing = true;
    } else if (it->second.family == family) {
      named.insert(&it->second);
    } else {
      foreign |= std::count(families.begin(), families.end(), it->second.family) == 0;
    }
  }
  if (named.size() == 1) return {true, *named.begin()};
  return {named.empty() && !missing && !foreign, nullptr};
}

// The Eip that the automatic steps come to.
const Pool* Automatic(const Facts& facts, const Wishes& wishes, const Service& service, Family family) {
  std::vector<const Pool*> steps[3];
  for (const auto& [name, pool] : facts.pools) {
    if (pool.deleting || pool.family != family || (wishes.protocol && *wishes.protocol != pool.protocol)) continue;
    if (Bound(pool) && BoundTo(facts, pool, service.id.ns)) steps[0].push_back(&pool);
    if (pool.is_default && Serves(facts, pool, service)) steps[1].push_back(&pool);
    if (!Bound(pool)) steps[2].push_back(&pool);
  }
  for (const std::vector<const Pool*>& step : steps) {
    if (step.empty()) continue;
    const Pool* best = nullptr;
    const auto rank = [&](const Pool& p) {
      const int protocol = &step == &steps[2] && p.protocol != model::Protocol::kBgp ? 1 : 0;
      return std::make_tuple(protocol, p.priority, p.name);
    };
    for (const Pool* pool : step) {
      if (pool->disable || !LowestFree(facts, *pool)) continue;
      if (best == nullptr || rank(*pool) < rank(*best)) best = pool;
    }
    return best;  // later steps are not tried
  }
  return nullptr;
}

std::string Name(const Service& service) { return service.id.ToString(); }

}  // namespace

const std::vector<IpAddr>& Universe() {
  static const std::vector<IpAddr> all = [] {
    std::vector<IpAddr> out;
    for (std::uint32_t i = 0; i < 12; ++i) out.push_back(IpAddr::V4((10U << 24) + 250 + i));
    for (std::uint32_t i = 0; i < 8; ++i) out.push_back(IpAddr::V6(absl::MakeUint128(0x20010db800000000, i)));
    return out;
  }();
  return all;
}

std::vector<const Service*> Facts::OwnersOf(const IpAddr& address) const {
  std::vector<const Service*> out;
  for (const auto& [id, service] : services) {
    for (const Allocation& a : service.allocations) {
      if (a.address == address) out.push_back(&service);
    }
  }
  return out;
}

std::vector<Family> Families(const Service& service) {
  using Policy = model::IpFamilyPolicy;
  std::vector<Family> families = service.ip_families;
  if (families.empty()) families = {Family::kIpv4};
  if (service.ip_family_policy == Policy::kSingleStack) return {families.front()};
  const bool both = service.ip_family_policy == Policy::kRequireDualStack || service.ip_families.empty();
  if (both && families.size() == 1) {
    families.push_back(families.front() == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4);
  }
  return families;
}

bool IsOurs(const Service& service, const plan::Rules& rules) {
  if (!service.load_balancer || service.deleting) return false;
  const std::string word = Said(service, model::kOptInAnnotation);
  const bool opted_in = word == "openelb" || word == "porter";
  const bool recorded = !service.allocations.empty();
  if (service.load_balancer_class) {
    return *service.load_balancer_class == rules.load_balancer_class ||
           (recorded && service.managed_by == "class:" + *service.load_balancer_class);
  }
  return opted_in || rules.manage_unclassed || (recorded && service.managed_by == "unclassed");
}

bool Hopeless(const Service& service) {
  return service.headless || service.ports.empty() || !Said(service, model::kNodeProxyAnnotation).empty() ||
         !WishesOf(service);
}

bool PortsClash(const Service& a, const Service& b) {
  for (const model::ServicePort& mine : a.ports) {
    for (const model::ServicePort& theirs : b.ports) {
      if (mine.protocol == theirs.protocol && mine.port == theirs.port) return true;
    }
  }
  return false;
}

bool MayShare(const Service& service, const Service& owner, const plan::Rules& rules) {
  if (PortsClash(service, owner)) return false;
  if (rules.open_sharing) return true;
  const std::string key = Said(service, model::kSharingKeyAnnotation);
  const bool allowed =
      service.id.ns == owner.id.ns || (!key.empty() && key == Said(owner, model::kSharingKeyAnnotation));
  const bool local = service.traffic_policy == model::TrafficPolicy::kLocal;
  return allowed && service.traffic_policy == owner.traffic_policy && (!local || service.selector == owner.selector);
}

bool AsksForAnother(const Facts& facts, const Service& service, const Allocation& held) {
  const std::optional<Wishes> wishes = WishesOf(service);
  if (!wishes) return false;
  const Family family = held.address.family();
  const Pool* pool = PoolAt(facts, held.address);
  const auto wanted = wishes->addresses.find(family);
  if (wanted != wishes->addresses.end() && wanted->second != held.address) return true;
  // An Eip may have changed its protocol since, or adopted an orphan: either name of the allocation will do.
  const bool protocol_fits = !wishes->protocol || *wishes->protocol == held.protocol ||
                             (pool != nullptr && *wishes->protocol == pool->protocol);
  if (!protocol_fits) return true;
  for (const std::string& name : wishes->pools) {
    if (name == held.pool || (pool != nullptr && name == pool->name)) return false;
  }
  const auto [open, named] = Named(facts, *wishes, service, family);
  return !open || named != nullptr;
}

std::optional<IpAddr> Offer(const Facts& facts, const Service& service, Family family) {
  const std::optional<Wishes> wishes = WishesOf(service);
  if (!wishes || Hopeless(service)) return std::nullopt;
  const std::vector<Family> families = Families(service);
  const auto wanted = wishes->addresses.find(family);
  const bool wants = wanted != wishes->addresses.end();
  for (const auto& [other, address] : wishes->addresses) {
    if (!wants && std::count(families.begin(), families.end(), other) == 0) return std::nullopt;
  }
  const auto [open, named] = Named(facts, *wishes, service, family);
  if (!open) return std::nullopt;
  const Pool* pool = named;
  if (pool == nullptr && wants) {
    pool = PoolAt(facts, wanted->second);
    if (pool == nullptr) return std::nullopt;
  }
  if (pool == nullptr) {
    pool = Automatic(facts, *wishes, service, family);
    return pool == nullptr ? std::nullopt : LowestFree(facts, *pool);
  }
  if (!Serves(facts, *pool, service) || pool->deleting || pool->disable) return std::nullopt;
  if (wishes->protocol && *wishes->protocol != pool->protocol) return std::nullopt;
  if (!wants) return LowestFree(facts, *pool);
  if (!pool->addresses.Contains(wanted->second) || !Usable(facts, *pool, wanted->second)) return std::nullopt;
  for (const Service* owner : facts.OwnersOf(wanted->second)) {
    if (owner->id != service.id && !MayShare(service, *owner, facts.rules)) return std::nullopt;
  }
  return wanted->second;
}

void CheckGiven(const Facts& facts, const Service& service, const Allocation& given) {
  const std::string what = absl::StrCat(given.address.ToString(), " of ", given.pool, " given to ", Name(service));
  if (!IsOurs(service, facts.rules)) throw Broken(what + ", which is not ours");
  if (Hopeless(service)) throw Broken(what + ", which must get nothing");
  const std::vector<Family> families = Families(service);
  if (std::count(families.begin(), families.end(), given.address.family()) == 0) {
    throw Broken(what + ", which has no such family");
  }
  const auto it = facts.pools.find(given.pool);
  if (it == facts.pools.end()) throw Broken(what + ": no such Eip is in force");
  const Pool& pool = it->second;
  if (!pool.addresses.Contains(given.address)) throw Broken(what + ": not in that Eip");
  if (pool.disable || pool.deleting) throw Broken(what + ": that Eip gives nothing");
  if (!Serves(facts, pool, service)) throw Broken(what + ": that Eip is bound to other namespaces");
  if (pool.protocol != given.protocol || pool.interface != given.interface) throw Broken(what + ": recorded wrongly");
  if (!Usable(facts, pool, given.address)) throw Broken(what + ": that address is never given out now");
  if (AsksForAnother(facts, service, given)) throw Broken(what + ", which asks for another");
  CheckShared(facts, service, given);
}

void CheckShared(const Facts& facts, const Service& service, const Allocation& given) {
  const std::string what = absl::StrCat(given.address.ToString(), " given to ", Name(service));
  const std::optional<Wishes> wishes = WishesOf(service);
  const bool asked = wishes && wishes->addresses.count(given.address.family()) != 0;
  for (const Service* owner : facts.OwnersOf(given.address)) {
    if (owner->id == service.id) continue;
    const std::string shared = absl::StrCat(what, " beside ", Name(*owner));
    if (!asked) throw Broken(shared + ", which did not ask for it");
    if (!MayShare(service, *owner, facts.rules)) throw Broken(shared + ", which may not share it");
  }
}

void CheckTaken(const Facts& facts, const Service& service, const Allocation& taken,
                const std::vector<Allocation>& left) {
  if (!IsOurs(service, facts.rules)) return;
  const std::vector<Family> families = Families(service);
  if (std::count(families.begin(), families.end(), taken.address.family()) == 0) return;
  if (AsksForAnother(facts, service, taken)) return;
  const Pool* pool = PoolAt(facts, taken.address);
  if (pool == nullptr && facts.pools.count(taken.pool) != 0) pool = &facts.pools.at(taken.pool);
  if (pool != nullptr && pool->deleting && pool->force_delete) return;
  for (const Service* owner : facts.OwnersOf(taken.address)) {
    if (owner->id != service.id && PortsClash(service, *owner)) return;
  }
  // Both families or none.
  if (service.ip_family_policy == model::IpFamilyPolicy::kRequireDualStack && left.empty()) return;
  throw Broken(
      absl::StrCat(taken.address.ToString(), " of ", taken.pool, " taken from ", Name(service), " for nothing"));
}

namespace {

void CheckServiceAtRest(const Facts& facts, const Service& service) {
  const std::string who = Name(service);
  if (!IsOurs(service, facts.rules)) {
    if (!service.allocations.empty()) throw Broken(who + " is not ours and has addresses still");
    return;
  }
  const std::vector<Family> families = Families(service);
  std::map<Family, const Allocation*> has;
  for (const Allocation& a : service.allocations) {
    const bool needed = std::count(families.begin(), families.end(), a.address.family()) != 0;
    if (!needed || !has.emplace(a.address.family(), &a).second) {
      throw Broken(absl::StrCat(who, " has ", a.address.ToString(), " too many"));
    }
    for (const Service* owner : facts.OwnersOf(a.address)) {
      if (owner->id != service.id && PortsClash(service, *owner)) {
        throw Broken(absl::StrCat(who, " and ", Name(*owner), " clash on ", a.address.ToString()));
      }
    }
  }
  const bool strict = service.ip_family_policy == model::IpFamilyPolicy::kRequireDualStack;
  if (strict && has.size() == 1) throw Broken(who + " has one of two families that it must have both or none of");
  std::map<Family, IpAddr> offers;
  for (const Family family : families) {
    const auto offer = Offer(facts, service, family);
    if (!offer) continue;
    offers[family] = *offer;
    if (has.count(family) != 0 && AsksForAnother(facts, service, *has[family])) {
      throw Broken(absl::StrCat(who, " has ", has[family]->address.ToString(), ", asks for another and could have ",
                                offer->ToString()));
    }
  }
  for (const auto& [family, address] : offers) {
    if (has.count(family) != 0 || (strict && offers.size() < families.size())) continue;
    throw Broken(absl::StrCat(who, " waits, and could have ", address.ToString()));
  }
}

}  // namespace

void CheckAtRest(const Facts& facts) {
  for (const auto& [id, service] : facts.services) CheckServiceAtRest(facts, service);
}

}  // namespace berth::core
