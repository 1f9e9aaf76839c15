// SPDX-License-Identifier: Apache-2.0
// Who has which address, and how that may change.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/system/invariants.h"

namespace berth::system {
namespace {

constexpr absl::Duration kAsked = absl::Seconds(10);               // no question to the LAN is older that counts
constexpr absl::Duration kPoolMemory = absl::Minutes(5);           // a decision may take that long to be written
constexpr absl::Duration kSettledVoice = absl::Milliseconds(300);  // a probe that began later would have heard it

bool Same(const model::ServicePort& a, const model::ServicePort& b) {
  return a.port == b.port && a.protocol == b.protocol;
}

bool PortsClash(const model::Service& a, const model::Service& b) {
  return std::any_of(a.ports.begin(), a.ports.end(), [&](const model::ServicePort& p) {
    return std::any_of(b.ports.begin(), b.ports.end(), [&](const model::ServicePort& q) { return Same(p, q); });
  });
}

// Within a namespace Services share by asking for the same address, across namespaces by a key too.
bool MayShare(const model::Service& a, const model::Service& b) {
  const auto key = [](const model::Service& s) {
    const auto found = s.annotations.find(model::kSharingKeyAnnotation);
    return found == s.annotations.end() ? std::string() : found->second;
  };
  return a.id.ns == b.id.ns || (!key(a).empty() && key(a) == key(b));
}

}  // namespace

void Invariants::NotePools() {
  const auto& pools = world_.cluster.pools();
  for (const auto& [name, pool] : pools) {
    if (!pool.disable && !pool.deleting) allowed_until_[name] = absl::InfiniteFuture();
  }
  for (auto& [name, until] : allowed_until_) {
    const auto pool = pools.find(name);
    const bool allows = pool != pools.end() && !pool->second.disable && !pool->second.deleting;
    if (!allows && until == absl::InfiniteFuture()) until = world_.Now();
  }
}

// A Service that was edited may lose its addresses, and so may those that share with it; all may when an Eip is deleted
// by force.
void Invariants::NoteEdits() {
  for (const auto& [id, service] : world_.cluster.services()) {
    model::Service asked = service;
    asked.revision.clear();
    asked.allocations.clear();
    asked.managed_by.clear();
    asked.deleting = asked.marked = asked.foreign_ingress = false;
    const auto [known, fresh] = asked_.try_emplace(id, asked);
    if (!fresh && known->second != asked) {
      Excuse(id);
      known->second = std::move(asked);
    }
  }
  std::erase_if(asked_, [&](const auto& a) { return !world_.cluster.services().contains(a.first); });
  for (const auto& [name, pool] : world_.cluster.pools()) {
    if (!pool.deleting || !pool.force_delete) continue;
    for (const auto& [id, service] : world_.cluster.services()) excused_.insert(id);
  }
}

void Invariants::Excuse(const model::ObjectId& service) {
  excused_.insert(service);
  for (const auto& [address, owners] : owners_) {
    if (!owners.contains(service)) continue;
    for (const auto& [id, allocation] : owners) excused_.insert(id);
  }
}

void Invariants::CheckOwners() {
  Owners now;
  for (const auto& [id, service] : world_.cluster.services()) {
    for (const model::Allocation& a : service.allocations) {
      now[a.address][id] = a;
      const auto pool = world_.cluster.pools().find(a.pool);
      if (pool != world_.cluster.pools().end() && !pool->second.addresses.Contains(a.address)) {
        world_.Violation(absl::StrCat(a.address.ToString(), " of ", id.ToString(), " lies outside of Eip ", a.pool));
      }
    }
  }
  const Owners before = std::exchange(owners_, now);
  for (const auto& [address, owners] : now) {
    const auto were = before.find(address);
    for (const auto& [id, allocation] : owners) {
      if (were == before.end() || !were->second.contains(id)) CheckJoin(id, allocation, before);
    }
  }
  for (const auto& [address, owners] : before) {
    const auto are = now.find(address);
    for (const auto& [id, allocation] : owners) {
      if (are == now.end() || !are->second.contains(id)) CheckLoss(id, address, now);
    }
  }
  std::erase_if(excused_, [&](const model::ObjectId& id) { return !world_.cluster.services().contains(id); });
}

bool Invariants::ReleasedInThisTerm(const IpAddr& address) const {
  const auto found = released_.find(address);
  return found != released_.end() && found->second.term == world_.cluster.term();
}

void Invariants::CheckJoin(const model::ObjectId& id, const model::Allocation& allocation, const Owners& before) {
  const IpAddr& address = allocation.address;
  const model::Service& service = world_.cluster.services().at(id);
  const auto allowed = allowed_until_.find(allocation.pool);
  if (allowed == allowed_until_.end() || allowed->second + kPoolMemory < world_.Now()) {
    world_.Violation(absl::StrCat(id.ToString(), " was given ", address.ToString(), ", which Eip ", allocation.pool,
                                  " does not give out"));
  }
  for (const auto& [other, theirs] : owners_.at(address)) {
    if (other == id) continue;
    const model::Service& sharer = world_.cluster.services().at(other);
    const bool edited = excused_.contains(id) || excused_.contains(other);
    if (!edited && (!MayShare(service, sharer) || PortsClash(service, sharer))) {
      world_.Violation(
          absl::StrCat(address.ToString(), " was given to ", id.ToString(), " though ", other.ToString(), " has it"));
    }
  }
  if (before.contains(address) || !ReleasedInThisTerm(address)) return;
  for (const auto& [name, node] : world_.nodes) {
    if (node->whole_since + kAsked > world_.Now()) return;  // whoever asked the LAN may have heard nothing
  }
  for (const auto& [name, node] : world_.nodes) {
    for (const auto& a : node->agents) {
      const auto since = a->notes.since.find(address);
      if (since == a->notes.since.end() || since->second + kSettledVoice > world_.Now()) continue;
      if (!a->alive() || !a->frames.Answers(address)) continue;
      world_.Violation(absl::StrCat(address.ToString(), " was given to ", id.ToString(), " while ", name,
                                    " answered for its former owner"));
    }
  }
}

void Invariants::CheckLoss(const model::ObjectId& id, const IpAddr& address, const Owners& now) {
  const auto service = world_.cluster.services().find(id);
  const bool gone = service == world_.cluster.services().end() || service->second.deleting;
  if (!gone && !excused_.contains(id)) {
    world_.Violation(absl::StrCat(id.ToString(), " lost ", address.ToString(), ", which it did not let go of"));
  }
  if (now.contains(address)) return;
  released_[address] = {world_.Now(), world_.cluster.term()};
  for (const auto& [name, node] : world_.nodes) {
    for (const auto& a : node->agents) {
      if (a->notes.contact_since + kContact > world_.Now() || !a->alive() || !a->frames.Answers(address)) continue;
      world_.Violation(
          absl::StrCat(address.ToString(), " was released by ", id.ToString(), " while ", name, " announced it still"));
    }
  }
}

}  // namespace berth::system
