// SPDX-License-Identifier: Apache-2.0
#include "agent/link/controller_codec.h"

#include <variant>

#include "common/sync/wire.h"

namespace berth::agent {
namespace {

using sync::WireMessage;
using sync::WireName;
using sync::WireReader;
using Path = WireReader::Path;

// ---- values to protobuf
// ----------------------------------------------------------------------------------------------

v1::RejectCode ToProto(sync::RejectCode code) {
  switch (code) {
    case sync::RejectCode::kUnspecified:
      return v1::REJECT_CODE_UNSPECIFIED;
    case sync::RejectCode::kInterfaceMissing:
      return v1::REJECT_CODE_INTERFACE_MISSING;
    case sync::RejectCode::kInterfaceDown:
      return v1::REJECT_CODE_INTERFACE_DOWN;
    case sync::RejectCode::kAddressConflict:
      return v1::REJECT_CODE_ADDRESS_CONFLICT;
    case sync::RejectCode::kNetlinkError:
      return v1::REJECT_CODE_NETLINK_ERROR;
    case sync::RejectCode::kSilenceUnavailable:
      return v1::REJECT_CODE_SILENCE_UNAVAILABLE;
    case sync::RejectCode::kOwnAddress:
      return v1::REJECT_CODE_OWN_ADDRESS;
    case sync::RejectCode::kUnsupported:
      return v1::REJECT_CODE_UNSUPPORTED;
    case sync::RejectCode::kStaleTerm:
      return v1::REJECT_CODE_STALE_TERM;
    case sync::RejectCode::kBadBaseVersion:
      return v1::REJECT_CODE_BAD_BASE_VERSION;
  }
  return v1::REJECT_CODE_UNSPECIFIED;
}

void Write(const sync::Stamp& stamp, v1::Stamp* out) {
  out->set_term(stamp.term);
  out->set_version(stamp.version);
}

void Write(const sync::InterfaceInfo& info, v1::InterfaceInfo* out) {
  out->set_name(WireName(info.name));
  out->set_mac(info.mac.ToString());
  out->set_up(info.up);
  for (const Cidr& prefix : info.prefixes) out->add_prefixes(prefix.ToString());
  for (const IpAddr& gateway : info.gateways) out->add_gateways(gateway.ToString());
  for (const Cidr& route : info.routes) out->add_routes(route.ToString());
}

void Write(const sync::AnnouncedAddress& announced, v1::AnnouncedAddress* out) {
  out->set_address(announced.address.ToString());
  for (const std::string& name : announced.interfaces) out->add_interfaces(WireName(name));
  Write(announced.since, out->mutable_since());
  out->set_rank(announced.rank);
  out->set_repeating(announced.repeating);
}

void Write(const sync::Conflict& conflict, v1::Conflict* out) {
  out->set_address(conflict.address.ToString());
  out->set_interface(WireName(conflict.interface));
  out->set_mac(conflict.mac.ToString());
}

void Write(const sync::Rejection& rejection, v1::Rejection* out) {
  if (rejection.address.has_value()) out->set_address(rejection.address->ToString());
  out->set_code(ToProto(rejection.code));
  out->set_message(WireMessage(rejection.message));
  if (rejection.rival.has_value()) out->set_rival(rejection.rival->ToString());
}

void Write(const sync::ProbeAnswer& answer, v1::ProbeAnswer* out) {
  out->set_address(answer.address.ToString());
  out->set_probed(answer.probed);
  for (const MacAddr& mac : answer.macs) out->add_macs(mac.ToString());
  out->set_message(WireMessage(answer.message));
}

void Write(const sync::NodeFinding& finding, v1::NodeFinding* out) {
  out->set_severity(finding.severity == sync::NodeFinding::Severity::kError ? v1::NodeFinding::ERROR
                                                                            : v1::NodeFinding::WARNING);
  out->set_message(WireMessage(finding.message));
  out->set_cure(WireMessage(finding.cure));
}

struct PayloadWriter {
  v1::AgentMessage* out;

  void operator()(const sync::Hello& m) const {
    v1::Hello* to = out->mutable_hello();
    to->set_node(WireName(m.node));
    to->set_instance_id(WireName(m.instance_id));
    to->set_boot_id(WireName(m.boot_id));
    to->set_started_ns(m.started_ns);
    to->set_version(WireName(m.version));
    to->set_highest_term(m.highest_term);
    Write(m.state, to->mutable_state());
    for (const sync::InterfaceInfo& info : m.interfaces) Write(info, to->add_interfaces());
    for (const sync::AnnouncedAddress& announced : m.announced) Write(announced, to->add_announced());
    for (const IpAddr& address : m.local) to->add_local(address.ToString());
    to->set_probe_endpoint(WireName(m.probe_endpoint));
    to->set_wall_ns(m.wall_ns);
    to->set_layer2_off(m.layer2_off);
  }
  void operator()(const sync::Heartbeat& m) const { out->mutable_heartbeat()->set_sequence(m.sequence); }
  void operator()(const sync::Applied& m) const {
    out->mutable_applied()->set_term(m.term);
    out->mutable_applied()->set_version(m.version);
  }
  void operator()(const sync::Rejected& m) const {
    v1::Rejected* to = out->mutable_rejected();
    to->set_term(m.term);
    to->set_version(m.version);
    to->set_seen_term(m.seen_term);
    for (const sync::Rejection& rejection : m.rejections) Write(rejection, to->add_rejections());
  }
  void operator()(const sync::ProbeResult& m) const {
    v1::ProbeResult* to = out->mutable_probe_result();
    to->set_term(m.term);
    to->set_id(m.id);
    for (const sync::ProbeAnswer& answer : m.answers) Write(answer, to->add_answers());
  }
  void operator()(const sync::Report& m) const {
    v1::Report* to = out->mutable_report();
    // An empty list says "none now", an absent one "as before": so the list itself must be there when empty.
    if (m.interfaces.has_value()) {
      v1::InterfaceList* list = to->mutable_interfaces();
      for (const sync::InterfaceInfo& info : *m.interfaces) Write(info, list->add_interfaces());
    }
    if (m.announced.has_value()) {
      v1::AnnouncedList* list = to->mutable_announced();
      for (const sync::AnnouncedAddress& announced : *m.announced) Write(announced, list->add_addresses());
    }
    if (m.conflicts.has_value()) {
      v1::ConflictList* list = to->mutable_conflicts();
      for (const sync::Conflict& conflict : *m.conflicts) Write(conflict, list->add_conflicts());
    }
    if (m.peers.has_value()) {
      v1::PeerList* list = to->mutable_peers();
      for (const sync::PeerState& peer : *m.peers) {
        v1::PeerState* to_peer = list->add_peers();
        to_peer->set_node(WireName(peer.node));
        to_peer->set_heard(peer.heard);
      }
    }
    if (m.findings.has_value()) {
      v1::NodeFindingList* list = to->mutable_findings();
      for (const sync::NodeFinding& finding : *m.findings) Write(finding, list->add_findings());
    }
    to->set_leaving(m.leaving);
    to->set_wall_ns(m.wall_ns);
    to->set_cleaned(m.cleaned);
  }
};

// ---- protobuf to values
// ----------------------------------------------------------------------------------------------

sync::Protocol Read(WireReader& in, const Path& at, v1::Protocol protocol) {
  switch (protocol) {
    case v1::PROTOCOL_LAYER2:
      return sync::Protocol::kLayer2;
    case v1::PROTOCOL_BGP:
      return sync::Protocol::kBgp;
    case v1::PROTOCOL_VIP:
      return sync::Protocol::kVip;
    default:
      in.Fail(at, "must be LAYER2, BGP or VIP");
      return {};
  }
}

sync::Role Read(WireReader& in, const Path& at, v1::Role role) {
  switch (role) {
    case v1::ROLE_PREPARE:
      return sync::Role::kPrepare;
    case v1::ROLE_ANNOUNCE:
      return sync::Role::kAnnounce;
    case v1::ROLE_MUTE:
      return sync::Role::kMute;
    case v1::ROLE_STANDBY:
      return sync::Role::kStandby;
    default:
      in.Fail(at, "must be PREPARE, ANNOUNCE, MUTE or STANDBY");
      return {};
  }
}

sync::ProbeKind Read(WireReader& in, const Path& at, v1::ProbeKind kind) {
  switch (kind) {
    case v1::PROBE_KIND_NEW_ADDRESS:
      return sync::ProbeKind::kNewAddress;
    case v1::PROBE_KIND_TAKE_OVER:
      return sync::ProbeKind::kTakeOver;
    case v1::PROBE_KIND_CENSUS:
      return sync::ProbeKind::kCensus;
    default:
      in.Fail(at, "must be NEW_ADDRESS, TAKE_OVER or CENSUS");
      return {};
  }
}

absl::Duration Read(WireReader& in, const Path& at, const google::protobuf::Duration& m) {
  return in.Time(at, m.seconds(), m.nanos());
}

sync::PeerKey Read(WireReader& in, const Path& at, const v1::PeerKey& m) {
  if (m.id() == 0) in.Fail({&at, "id"}, "must not be 0");
  if (m.secret().size() != sync::kPeerSecretSize) in.Fail({&at, "secret"}, "must have 32 bytes");
  return {.id = m.id(), .secret = m.secret()};
}

sync::Settings Read(WireReader& in, const Path& at, const v1::Settings& m) {
  return {.heartbeat = Read(in, {&at, "heartbeat"}, m.heartbeat()),
          .agent_timeout = Read(in, {&at, "agent_timeout"}, m.agent_timeout()),
          .peer_keys = in.List({&at, "peer_keys"}, m.peer_keys(), sync::kMaxPeerKeys,
                               [&](const Path& p, const v1::PeerKey& key) { return Read(in, p, key); })};
}

sync::Candidate Read(WireReader& in, const Path& at, const v1::Candidate& m) {
  return {.node = in.Name({&at, "node"}, m.node()),
          .macs = in.Macs({&at, "macs"}, m.macs()),
          .probe_endpoint = in.NameOrEmpty({&at, "probe_endpoint"}, m.probe_endpoint())};
}

sync::PortRef Read(WireReader& in, const Path& at, const v1::PortRef& m) {
  if (m.protocol() != "TCP" && m.protocol() != "UDP" && m.protocol() != "SCTP") {
    in.Fail({&at, "protocol"}, "must be TCP, UDP or SCTP");
  }
  return {.protocol = m.protocol(), .port = in.Port({&at, "port"}, m.port())};
}

sync::ServiceRef Read(WireReader& in, const Path& at, const v1::ServiceRef& m);
sync::Assignment Read(WireReader& in, const Path& at, const v1::Assignment& m);
sync::Removal Read(WireReader& in, const Path& at, const v1::Removal& m);
sync::ProbeTarget Read(WireReader& in, const Path& at, const v1::ProbeTarget& m);

// A list of messages, each read by the overload of Read for it (declared above: argument-dependent lookup would not
// find a later one).
template <typename Entries>
auto ReadList(WireReader& in, const Path& at, const Entries& list, int max) {
  return in.List(at, list, max, [&](const Path& p, const auto& entry) { return Read(in, p, entry); });
}

sync::ServiceRef Read(WireReader& in, const Path& at, const v1::ServiceRef& m) {
  return {.ns = in.NameOrEmpty({&at, "namespace"}, m.namespace_()),
          .name = in.Name({&at, "name"}, m.name()),
          .ports = ReadList(in, {&at, "ports"}, m.ports(), sync::kMaxServices)};
}

sync::Assignment Read(WireReader& in, const Path& at, const v1::Assignment& m) {
  sync::Assignment out;
  out.address = in.Address({&at, "address"}, m.address());
  out.protocol = Read(in, {&at, "protocol"}, m.protocol());
  out.interface = in.NameOrEmpty({&at, "interface"}, m.interface());
  out.role = Read(in, {&at, "role"}, m.role());
  out.since = {.term = m.since().term(), .version = m.since().version()};
  out.candidates = ReadList(in, {&at, "candidates"}, m.candidates(), sync::kMaxMacs);
  out.yield_to = in.Macs({&at, "yield_to"}, m.yield_to());
  out.services = ReadList(in, {&at, "services"}, m.services(), sync::kMaxServices);
  return out;
}

sync::Removal Read(WireReader& in, const Path& at, const v1::Removal& m) {
  return {.address = in.Address({&at, "address"}, m.address()), .released = m.released()};
}

sync::ProbeTarget Read(WireReader& in, const Path& at, const v1::ProbeTarget& m) {
  return {.address = in.Address({&at, "address"}, m.address()),
          .interface = in.NameOrEmpty({&at, "interface"}, m.interface())};
}

sync::Snapshot Read(WireReader& in, const Path& at, const v1::Snapshot& m) {
  sync::Snapshot out{
      .term = m.term(), .version = m.version(), .settings = {}, .assignments = {}, .removals = {}, .continued = {}};
  out.settings = Read(in, {&at, "settings"}, m.settings());
  out.assignments = ReadList(in, {&at, "assignments"}, m.assignments(), sync::kMaxAddresses);
  out.removals = ReadList(in, {&at, "removals"}, m.removals(), sync::kMaxAddresses);
  out.continued = in.Addresses({&at, "continued"}, m.continued(), sync::kMaxAddresses);
  return out;
}

sync::Delta Read(WireReader& in, const Path& at, const v1::Delta& m) {
  return {.term = m.term(),
          .base_version = m.base_version(),
          .version = m.version(),
          .upserts = ReadList(in, {&at, "upserts"}, m.upserts(), sync::kMaxAddresses),
          .removals = ReadList(in, {&at, "removals"}, m.removals(), sync::kMaxAddresses)};
}

sync::ProbeRequest Read(WireReader& in, const Path& at, const v1::ProbeRequest& m) {
  return {.term = m.term(),
          .id = m.id(),
          .kind = Read(in, {&at, "kind"}, m.kind()),
          .timeout = Read(in, {&at, "timeout"}, m.timeout()),
          .targets = ReadList(in, {&at, "targets"}, m.targets(), sync::kMaxAddresses)};
}

sync::SettingsUpdate Read(WireReader& in, const Path& at, const v1::SettingsUpdate& m) {
  return {.term = m.term(), .settings = Read(in, {&at, "settings"}, m.settings())};
}

sync::NotLeader Read(WireReader& in, const Path& at, const v1::NotLeader& m) {
  return {.term = m.term(), .leader = in.NameOrEmpty({&at, "leader"}, m.leader())};
}

sync::Superseded Read(WireReader& in, const Path& at, const v1::Superseded& m) {
  return {.term = m.term(),
          .by_instance = in.NameOrEmpty({&at, "by_instance"}, m.by_instance()),
          .message = in.Text({&at, "message"}, m.message())};
}

sync::ControllerMessage ReadPayload(WireReader& in, const v1::ControllerMessage& m) {
  switch (m.payload_case()) {
    case v1::ControllerMessage::kSnapshot:
      return Read(in, {nullptr, "snapshot"}, m.snapshot());
    case v1::ControllerMessage::kDelta:
      return Read(in, {nullptr, "delta"}, m.delta());
    case v1::ControllerMessage::kProbeRequest:
      return Read(in, {nullptr, "probe_request"}, m.probe_request());
    case v1::ControllerMessage::kSettingsUpdate:
      return Read(in, {nullptr, "settings_update"}, m.settings_update());
    case v1::ControllerMessage::kNotLeader:
      return Read(in, {nullptr, "not_leader"}, m.not_leader());
    case v1::ControllerMessage::kSuperseded:
      return Read(in, {nullptr, "superseded"}, m.superseded());
    case v1::ControllerMessage::kRetire:
      return sync::Retire{
          .term = m.retire().term(),
          .answer_on = in.Addresses({nullptr, "retire.answer_on"}, m.retire().answer_on(), sync::kMaxAddresses)};
    case v1::ControllerMessage::kCleanup:
      return sync::Cleanup{.term = m.cleanup().term()};
    case v1::ControllerMessage::PAYLOAD_NOT_SET:
      break;
  }
  in.Fail({nullptr, "payload"}, "none that this agent knows is set");
  return {};
}

}  // namespace

v1::AgentMessage ToProto(const sync::AgentMessage& message) {
  v1::AgentMessage out;
  std::visit(PayloadWriter{&out}, message);
  return out;
}

absl::StatusOr<sync::ControllerMessage> FromProto(const v1::ControllerMessage& message) {
  WireReader in;
  sync::ControllerMessage out = ReadPayload(in, message);
  if (!in.ok()) return in.status();
  return out;
}

}  // namespace berth::agent
