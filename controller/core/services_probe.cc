// SPDX-License-Identifier: Apache-2.0
// What the LAN is asked before a Service is given an address, and what its answer means.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/core/services.h"

namespace berth::core {

// Whether what is being asked about is still what is wanted. To ask again after each change would keep a Service that
// somebody writes all the time from ever having an address.
bool Services::StillProbing(ServiceRecord& r) {
  const ServiceRecord::Operation& op = r.op();
  if (r.gone || r.object.deleting || r.restore) return false;
  for (const IpAddr& address : op.reserved) {
    if (!ctx_.ledger.OwnersOf(address).empty()) return false;
  }
  for (const IpAddr& address : op.reserved) ctx_.ledger.MarkReserved(address, false);
  plan::Decision now =
      plan::Decide(r.object, ctx_.ledger, cluster_.NamespaceLabels(r.object.id.ns), ctx_.options.rules);
  const std::vector<model::Allocation> want = std::exchange(now.want, {});
  const bool same = now.ownership == r.decision.ownership && want == op.target;
  for (const IpAddr& address : op.reserved) ctx_.ledger.MarkReserved(address, true);
  if (!same) return false;
  r.decision = std::move(now);
  Say(r);
  on_changed(r.object.id);
  return true;
}

void Services::Probed(const model::ObjectId& id, std::uint64_t op, const sync::ProbeAnswer& answer) {
  auto it = records_.find(id);
  if (it == records_.end() || it->second.op().id != op || it->second.phase != Phase::kProbing) return;
  ServiceRecord& r = it->second;
  std::optional<MacAddr> stranger;
  std::string node;
  for (const MacAddr& mac : answer.macs) {
    const std::string known = agents_.NodeOfMac(mac);
    if (known.empty()) {
      stranger = mac;
    } else {
      node = known;
    }
  }
  if (stranger.has_value()) {
    const std::string text =
        absl::StrCat("address ", answer.address.ToString(), " is in use on the LAN: ", stranger->ToString(),
                     " answers for it; it is not given out while that lasts");
    ctx_.strangers[answer.address] = *stranger;
    ctx_.ledger.MarkConflicted(answer.address, true);
    if (const model::Pool* pool = ctx_.ledger.PoolOf(answer.address))
      ctx_.PoolEvent(pool->name, true, "AddressConflict", text);
    pools_.TouchOf(answer.address);
  } else if (!node.empty()) {
    holders_.Quarantine(answer.address, node);  // left over on a node that we cannot tell to drop it
  } else {
    r.operation->probing.erase(answer.address);
    if (answer.probed) r.operation->verified.insert(answer.address);
    if (r.operation->probing.empty()) Withdraw(r);
    return;
  }
  Abort(r);
  dirty_.insert(id);
}

void Services::RecheckConflicts() {
  conflict_timer_ = 0;
  if (!ctx_.active) return;
  for (const IpAddr& address : ctx_.ledger.conflicted()) {
    const model::Pool* pool = ctx_.ledger.PoolOf(address);
    const std::string prober = pool == nullptr ? "" : holders_.ProberFor(address, pool->interface);
    if (prober.empty()) continue;
    probes_.Ask(prober, sync::ProbeKind::kNewAddress, address, pool->interface,
                [this](const sync::ProbeAnswer& answer) {
                  if (!answer.probed || !ctx_.ledger.IsConflicted(answer.address)) return;
                  for (const MacAddr& mac : answer.macs) {
                    if (!agents_.NodeOfMac(mac).empty()) continue;
                    ctx_.strangers[answer.address] = mac;
                    return pools_.TouchOf(answer.address);
                  }
                  if (!answer.macs.empty()) return;  // a node of ours, which lets go of it in time
                  ctx_.strangers.erase(answer.address);
                  ctx_.ledger.MarkConflicted(answer.address, false);
                  pools_.TouchOf(answer.address);
                  Wake();
                });
  }
}

}  // namespace berth::core
