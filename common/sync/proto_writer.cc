// SPDX-License-Identifier: Apache-2.0
#include "common/sync/proto_writer.h"

#include "common/sync/wire.h"

namespace berth::sync {
namespace v1 = agent::v1;
namespace {

v1::Protocol ToProto(Protocol protocol) {
  switch (protocol) {
    case Protocol::kLayer2:
      return v1::PROTOCOL_LAYER2;
    case Protocol::kBgp:
      return v1::PROTOCOL_BGP;
    case Protocol::kVip:
      return v1::PROTOCOL_VIP;
  }
  return v1::PROTOCOL_UNSPECIFIED;
}

v1::Role ToProto(Role role) {
  switch (role) {
    case Role::kPrepare:
      return v1::ROLE_PREPARE;
    case Role::kAnnounce:
      return v1::ROLE_ANNOUNCE;
    case Role::kMute:
      return v1::ROLE_MUTE;
    case Role::kStandby:
      return v1::ROLE_STANDBY;
  }
  return v1::ROLE_UNSPECIFIED;
}

void Write(const Candidate& candidate, v1::Candidate* out) {
  out->set_node(WireName(candidate.node));
  for (const MacAddr& mac : candidate.macs) out->add_macs(mac.ToString());
  out->set_probe_endpoint(WireName(candidate.probe_endpoint));
}

void Write(const ServiceRef& service, v1::ServiceRef* out) {
  out->set_namespace_(WireName(service.ns));
  out->set_name(WireName(service.name));
  for (const PortRef& port : service.ports) {
    v1::PortRef* out_port = out->add_ports();
    out_port->set_protocol(port.protocol);
    out_port->set_port(port.port);
  }
}

}  // namespace

void Write(absl::Duration value, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

void Write(const Settings& settings, v1::Settings* out) {
  Write(settings.heartbeat, out->mutable_heartbeat());
  Write(settings.agent_timeout, out->mutable_agent_timeout());
  for (const PeerKey& key : settings.peer_keys) {
    v1::PeerKey* out_key = out->add_peer_keys();
    out_key->set_id(key.id);
    out_key->set_secret(key.secret);
  }
}

void Write(const Assignment& assignment, v1::Assignment* out) {
  out->set_address(assignment.address.ToString());
  out->set_protocol(ToProto(assignment.protocol));
  out->set_interface(WireName(assignment.interface));
  out->set_role(ToProto(assignment.role));
  out->mutable_since()->set_term(assignment.since.term);
  out->mutable_since()->set_version(assignment.since.version);
  for (const Candidate& candidate : assignment.candidates) Write(candidate, out->add_candidates());
  for (const MacAddr& mac : assignment.yield_to) out->add_yield_to(mac.ToString());
  for (const ServiceRef& service : assignment.services) Write(service, out->add_services());
}

void Write(const Removal& removal, v1::Removal* out) {
  out->set_address(removal.address.ToString());
  out->set_released(removal.released);
}

void Write(const Snapshot& snapshot, v1::Snapshot* out) {
  out->set_term(snapshot.term);
  out->set_version(snapshot.version);
  Write(snapshot.settings, out->mutable_settings());
  for (const Assignment& assignment : snapshot.assignments) Write(assignment, out->add_assignments());
  for (const Removal& removal : snapshot.removals) Write(removal, out->add_removals());
  for (const IpAddr& address : snapshot.continued) out->add_continued(address.ToString());
}

}  // namespace berth::sync
