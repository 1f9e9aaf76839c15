// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/convert.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"

namespace berth::admin {
namespace {

constexpr std::size_t kMaxNameBytes = 253;

std::string ProtocolWord(model::Protocol protocol) { return std::string(model::ProtocolName(protocol)); }

v1::Service::State StateOf(model::ServiceState state) {
  switch (state) {
    case model::ServiceState::kAssigned:
      return v1::Service::ASSIGNED;
    case model::ServiceState::kPending:
      return v1::Service::PENDING;
    case model::ServiceState::kIgnored:
      return v1::Service::IGNORED;
  }
  return v1::Service::STATE_UNSPECIFIED;
}

v1::Address::State StateOf(model::AddressState state) {
  switch (state) {
    case model::AddressState::kProbing:
      return v1::Address::PROBING;
    case model::AddressState::kAnnounced:
      return v1::Address::ANNOUNCED;
    case model::AddressState::kUnheld:
      return v1::Address::UNHELD;
    case model::AddressState::kConflict:
      return v1::Address::CONFLICT;
  }
  return v1::Address::STATE_UNSPECIFIED;
}

v1::Agent::State StateOf(model::AgentState state) {
  switch (state) {
    case model::AgentState::kReady:
      return v1::Agent::READY;
    case model::AgentState::kDraining:
      return v1::Agent::DRAINING;
    case model::AgentState::kControlLost:
      return v1::Agent::CONTROL_LOST;
    case model::AgentState::kLost:
      return v1::Agent::LOST;
    case model::AgentState::kRejected:
      return v1::Agent::REJECTED;
  }
  return v1::Agent::STATE_UNSPECIFIED;
}

template <typename Values, typename Strings>
void AddTexts(const Values& values, Strings* texts) {
  texts->Reserve(static_cast<int>(values.size()));
  for (const auto& value : values) *texts->Add() = value.ToString();
}

template <typename Strings>
void AddStrings(const std::vector<std::string>& values, Strings* strings) {
  strings->Reserve(static_cast<int>(values.size()));
  for (const std::string& value : values) *strings->Add() = value;
}

}  // namespace

bool ToTimestamp(absl::Time time, google::protobuf::Timestamp& timestamp) {
  // protobuf's own bounds; its JSON form fails outside of them.
  static const absl::Time kFirst = absl::FromCivil(absl::CivilSecond(1, 1, 1), absl::UTCTimeZone());
  static const absl::Time kEnd = absl::FromCivil(absl::CivilSecond(10000, 1, 1), absl::UTCTimeZone());
  if (time < kFirst || time >= kEnd) return false;
  const std::int64_t seconds = absl::ToUnixSeconds(time);  // rounds down, so the rest is never negative
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return true;
}

v1::Pool ToProto(const model::PoolView& view) {
  v1::Pool out;
  out.set_name(view.name);
  out.set_range(view.range);
  out.set_protocol(ProtocolWord(view.protocol));
  out.set_interface(view.interface);
  out.set_disabled(view.disabled);
  out.set_used(view.used.ToString());
  out.set_total(view.total.ToString());
  AddTexts(view.conflicted, out.mutable_conflicted());
  out.set_message(view.message);
  return out;
}

v1::Service ToProto(const model::ServiceView& view) {
  v1::Service out;
  out.set_namespace_(view.id.ns);
  out.set_name(view.id.name);
  if (view.protocol) out.set_protocol(ProtocolWord(*view.protocol));
  AddStrings(view.pools, out.mutable_pools());
  AddTexts(view.addresses, out.mutable_addresses());
  out.set_state(StateOf(view.state));
  out.set_reason(view.reason);
  out.set_message(view.message);
  AddStrings(view.ports, out.mutable_ports());
  AddStrings(view.candidate_pools, out.mutable_candidate_pools());
  return out;
}

v1::Address ToProto(const model::AddressView& view) {
  v1::Address out;
  out.set_address(view.address.ToString());
  out.set_pool(view.pool);
  out.set_protocol(ProtocolWord(view.protocol));
  AddTexts(view.services, out.mutable_services());
  out.set_holder(view.holder);
  AddStrings(view.candidates, out.mutable_candidates());
  out.set_state(StateOf(view.state));
  if (google::protobuf::Timestamp since; ToTimestamp(view.since, since)) *out.mutable_since() = since;
  out.set_message(view.message);
  AddStrings(view.refusals, out.mutable_refusals());
  out.set_ordered(view.ordered);
  return out;
}

v1::Agent ToProto(const model::AgentView& view) {
  v1::Agent out;
  out.set_node(view.node);
  out.set_state(StateOf(view.state));
  out.set_version(view.version);
  for (const sync::InterfaceInfo& interface : view.interfaces) {
    v1::Interface& added = *out.add_interfaces();
    added.set_name(interface.name);
    added.set_mac(interface.mac.ToString());
    added.set_up(interface.up);
    AddTexts(interface.prefixes, added.mutable_prefixes());
  }
  AddTexts(view.announced, out.mutable_announced());
  if (google::protobuf::Timestamp heard; ToTimestamp(view.last_heartbeat, heard)) *out.mutable_last_heartbeat() = heard;
  out.set_message(view.message);
  return out;
}

v1::Status ToProto(const model::StatusView& view) {
  v1::Status out;
  out.set_leader(view.leader);
  out.set_synced(view.synced);
  out.set_started(view.started);
  out.set_leader_name(view.leader_name);
  out.set_term(view.term);
  AddStrings(view.problems, out.mutable_problems());
  return out;
}

v1::DoctorResponse::Finding ToProto(const model::FindingView& view) {
  v1::DoctorResponse::Finding out;
  out.set_severity(view.severity == model::FindingView::Severity::kError ? v1::DoctorResponse::Finding::ERROR
                                                                         : v1::DoctorResponse::Finding::WARNING);
  out.set_object(view.object);
  out.set_message(view.message);
  out.set_cure(view.cure);
  return out;
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError(absl::StrCat(field, " is empty"));
  if (name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " ", Quote(name), " has ", name.size(), " bytes, more than ", kMaxNameBytes));
  }
  const bool fits = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '.';
  });
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " ", Quote(name), " has other characters than lower case letters, digits, '-' and '.'"));
}

absl::StatusOr<model::ObjectId> ParseObjectId(const std::string& ns, const std::string& name) {
  RETURN_IF_ERROR(CheckName("namespace", ns));
  RETURN_IF_ERROR(CheckName("name", name));
  return model::ObjectId{ns, name};
}

}  // namespace berth::admin
