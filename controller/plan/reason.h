// SPDX-License-Identifier: Apache-2.0
// controller/plan/reason.h -- why a Service has no address, or is none of ours: one word for machines, one sentence for
// people.
#ifndef BERTH_CONTROLLER_PLAN_REASON_H_
#define BERTH_CONTROLLER_PLAN_REASON_H_

#include <string>

namespace berth::plan {

// Stable CamelCase words; they are the condition's reason, the `reason` of the admin API and a metric label.
namespace reason {
inline constexpr char kNoPool[] = "NoPool";              // no pool of its protocol and family at all
inline constexpr char kPoolNotFound[] = "PoolNotFound";  // the named pool does not exist
inline constexpr char kPoolRefused[] = "PoolRefused";    // it exists, and breaks a rule or cannot be read
inline constexpr char kPoolExhausted[] = "PoolExhausted";
inline constexpr char kPoolDisabled[] = "PoolDisabled";
inline constexpr char kPoolDeleting[] = "PoolDeleting";
inline constexpr char kProtocolMismatch[] = "ProtocolMismatch";
inline constexpr char kFamilyMismatch[] = "FamilyMismatch";
inline constexpr char kNamespaceNotAllowed[] = "NamespaceNotAllowed";
inline constexpr char kInvalidRequest[] = "InvalidRequest";  // annotation or field does not parse, or they contradict
inline constexpr char kAddressNotInPool[] = "AddressNotInPool";  // wanted address lies in no (or another) pool
inline constexpr char kAddressInUse[] = "AddressInUse";          // held by somebody who does not share
inline constexpr char kAddressExcluded[] = "AddressExcluded";    // node address, gateway, network or broadcast address
inline constexpr char kAddressConflicted[] = "AddressConflicted";    // a stranger on the LAN answers for it
inline constexpr char kAddressQuarantined[] = "AddressQuarantined";  // an agent may still answer for it
inline constexpr char kPortConflict[] = "PortConflict";
inline constexpr char kSharingKeyMismatch[] = "SharingKeyMismatch";
inline constexpr char kPolicyMismatch[] = "TrafficPolicyMismatch";
inline constexpr char kNoPorts[] = "NoPorts";  // headless or without ports
inline constexpr char kNodeProxy[] = "NodeProxyUnsupported";
inline constexpr char kProbing[] = "Probing";    // the LAN is being asked about the address
inline constexpr char kStarting[] = "Starting";  // waiting for agents after a start
inline constexpr char kWriting[] = "Writing";
inline constexpr char kReleasing[] = "Releasing";
inline constexpr char kNotOurs[] = "NotOurs";  // IGNORED: no opt-in, or a foreign class
}  // namespace reason

struct Reason {
  std::string code;     // one of the above
  std::string message;  // names object, field, value and cure
  friend bool operator==(const Reason&, const Reason&) = default;
};

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_REASON_H_
