// SPDX-License-Identifier: Apache-2.0
#include "controller/push/agent_codec.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "common/sync/proto_writer.h"
#include "common/sync/wire.h"

namespace berth::push {
namespace {

namespace v1 = agent::v1;
using sync::WireMessage;
using sync::WireName;
using sync::WireReader;
using sync::Write;
using Path = WireReader::Path;

// ---- values to protobuf
// ----------------------------------------------------------------------------------------------

v1::ProbeKind ToProto(sync::ProbeKind kind) {
  switch (kind) {
    case sync::ProbeKind::kNewAddress:
      return v1::PROBE_KIND_NEW_ADDRESS;
    case sync::ProbeKind::kTakeOver:
      return v1::PROBE_KIND_TAKE_OVER;
    case sync::ProbeKind::kCensus:
      return v1::PROBE_KIND_CENSUS;
  }
  return v1::PROBE_KIND_UNSPECIFIED;
}

struct PayloadWriter {
  v1::ControllerMessage* out;

  void operator()(const sync::Snapshot& m) const { Write(m, out->mutable_snapshot()); }
  void operator()(const sync::Delta& m) const {
    v1::Delta* to = out->mutable_delta();
    to->set_term(m.term);
    to->set_base_version(m.base_version);
    to->set_version(m.version);
    for (const sync::Assignment& assignment : m.upserts) Write(assignment, to->add_upserts());
    for (const sync::Removal& removal : m.removals) Write(removal, to->add_removals());
  }
  void operator()(const sync::ProbeRequest& m) const {
    v1::ProbeRequest* to = out->mutable_probe_request();
    to->set_term(m.term);
    to->set_id(m.id);
    to->set_kind(ToProto(m.kind));
    Write(m.timeout, to->mutable_timeout());
    for (const sync::ProbeTarget& target : m.targets) {
      v1::ProbeTarget* to_target = to->add_targets();
      to_target->set_address(target.address.ToString());
      to_target->set_interface(WireName(target.interface));
    }
  }
  void operator()(const sync::SettingsUpdate& m) const {
    v1::SettingsUpdate* to = out->mutable_settings_update();
    to->set_term(m.term);
    Write(m.settings, to->mutable_settings());
  }
  void operator()(const sync::NotLeader& m) const {
    v1::NotLeader* to = out->mutable_not_leader();
    to->set_term(m.term);
    to->set_leader(WireName(m.leader));
  }
  void operator()(const sync::Retire& m) const {
    v1::Retire* to = out->mutable_retire();
    to->set_term(m.term);
    for (const IpAddr& address : m.answer_on) to->add_answer_on(address.ToString());
  }
  void operator()(const sync::Superseded& m) const {
    v1::Superseded* to = out->mutable_superseded();
    to->set_term(m.term);
    to->set_by_instance(WireName(m.by_instance));
    to->set_message(WireMessage(m.message));
  }
  void operator()(const sync::Cleanup& m) const { out->mutable_cleanup()->set_term(m.term); }
};

// ---- protobuf to values
// ----------------------------------------------------------------------------------------------

sync::Stamp Read(const v1::Stamp& stamp) { return {.term = stamp.term(), .version = stamp.version()}; }

sync::InterfaceInfo Read(WireReader& in, const Path& at, const v1::InterfaceInfo& m) {
  sync::InterfaceInfo out;
  out.name = in.Name({&at, "name"}, m.name());
  out.mac = in.Mac({&at, "mac"}, m.mac());
  out.up = m.up();
  out.prefixes = in.List({&at, "prefixes"}, m.prefixes(), sync::kMaxInterfaces,
                         [&](const Path& p, const std::string& text) { return in.Prefix(p, text); });
  out.gateways = in.Addresses({&at, "gateways"}, m.gateways(), sync::kMaxInterfaces);
  out.routes = in.List({&at, "routes"}, m.routes(), sync::kMaxRoutes,
                       [&](const Path& p, const std::string& text) { return in.Prefix(p, text); });
  return out;
}

sync::AnnouncedAddress Read(WireReader& in, const Path& at, const v1::AnnouncedAddress& m) {
  sync::AnnouncedAddress out;
  out.address = in.Address({&at, "address"}, m.address());
  out.interfaces = in.List({&at, "interfaces"}, m.interfaces(), sync::kMaxMacs,
                           [&](const Path& p, const std::string& text) { return in.Name(p, text); });
  out.since = Read(m.since());
  out.rank = m.rank();
  out.repeating = m.repeating();
  return out;
}

sync::Conflict Read(WireReader& in, const Path& at, const v1::Conflict& m) {
  return {.address = in.Address({&at, "address"}, m.address()),
          .interface = in.NameOrEmpty({&at, "interface"}, m.interface()),
          .mac = in.Mac({&at, "mac"}, m.mac())};
}

// A code of a newer agent still says that something is not in force.
sync::RejectCode Read(v1::RejectCode code) {
  switch (code) {
    case v1::REJECT_CODE_INTERFACE_MISSING:
      return sync::RejectCode::kInterfaceMissing;
    case v1::REJECT_CODE_INTERFACE_DOWN:
      return sync::RejectCode::kInterfaceDown;
    case v1::REJECT_CODE_ADDRESS_CONFLICT:
      return sync::RejectCode::kAddressConflict;
    case v1::REJECT_CODE_NETLINK_ERROR:
      return sync::RejectCode::kNetlinkError;
    case v1::REJECT_CODE_SILENCE_UNAVAILABLE:
      return sync::RejectCode::kSilenceUnavailable;
    case v1::REJECT_CODE_OWN_ADDRESS:
      return sync::RejectCode::kOwnAddress;
    case v1::REJECT_CODE_UNSUPPORTED:
      return sync::RejectCode::kUnsupported;
    case v1::REJECT_CODE_STALE_TERM:
      return sync::RejectCode::kStaleTerm;
    case v1::REJECT_CODE_BAD_BASE_VERSION:
      return sync::RejectCode::kBadBaseVersion;
    default:
      return sync::RejectCode::kUnspecified;
  }
}

sync::Rejection Read(WireReader& in, const Path& at, const v1::Rejection& m) {
  sync::Rejection out;
  if (!m.address().empty()) out.address = in.Address({&at, "address"}, m.address());
  out.code = Read(m.code());
  out.message = in.Text({&at, "message"}, m.message());
  if (!m.rival().empty()) out.rival = in.Mac({&at, "rival"}, m.rival());
  return out;
}

sync::ProbeAnswer Read(WireReader& in, const Path& at, const v1::ProbeAnswer& m) {
  sync::ProbeAnswer out;
  out.address = in.Address({&at, "address"}, m.address());
  out.probed = m.probed();
  out.macs = in.Macs({&at, "macs"}, m.macs());
  out.message = in.Text({&at, "message"}, m.message());
  return out;
}

sync::PeerState Read(WireReader& in, const Path& at, const v1::PeerState& m) {
  return {.node = in.Name({&at, "node"}, m.node()), .heard = m.heard()};
}

// A severity of a newer agent still says that something is amiss.
sync::NodeFinding Read(WireReader& in, const Path& at, const v1::NodeFinding& m) {
  return {.severity = m.severity() == v1::NodeFinding::ERROR ? sync::NodeFinding::Severity::kError
                                                             : sync::NodeFinding::Severity::kWarning,
          .message = in.Text({&at, "message"}, m.message()),
          .cure = in.Text({&at, "cure"}, m.cure())};
}

std::int64_t WallTime(WireReader& in, const Path& at, std::int64_t wall_ns) {
  if (wall_ns < 0) in.Fail({&at, "wall_ns"}, "must not be negative");
  return wall_ns;
}

// A list of messages, each read by the overload of Read for it.
template <typename Entries>
auto ReadList(WireReader& in, const Path& at, const Entries& list, int max) {
  return in.List(at, list, max, [&](const Path& p, const auto& entry) { return Read(in, p, entry); });
}

sync::Hello Read(WireReader& in, const Path& at, const v1::Hello& m) {
  sync::Hello out;
  out.node = in.Name({&at, "node"}, m.node());
  out.instance_id = in.Name({&at, "instance_id"}, m.instance_id());
  out.boot_id = in.NameOrEmpty({&at, "boot_id"}, m.boot_id());
  out.started_ns = m.started_ns();
  if (out.started_ns < 0) in.Fail({&at, "started_ns"}, "must not be negative");
  out.version = in.NameOrEmpty({&at, "version"}, m.version());
  out.highest_term = m.highest_term();
  out.state = Read(m.state());
  out.interfaces = ReadList(in, {&at, "interfaces"}, m.interfaces(), sync::kMaxInterfaces);
  out.announced = ReadList(in, {&at, "announced"}, m.announced(), sync::kMaxAddresses);
  out.local = in.Addresses({&at, "local"}, m.local(), sync::kMaxAddresses);
  out.probe_endpoint = in.NameOrEmpty({&at, "probe_endpoint"}, m.probe_endpoint());
  out.wall_ns = WallTime(in, at, m.wall_ns());
  out.layer2_off = m.layer2_off();
  return out;
}

sync::Rejected Read(WireReader& in, const Path& at, const v1::Rejected& m) {
  return {.term = m.term(),
          .version = m.version(),
          .seen_term = m.seen_term(),
          .rejections = ReadList(in, {&at, "rejections"}, m.rejections(), sync::kMaxAddresses)};
}

sync::ProbeResult Read(WireReader& in, const Path& at, const v1::ProbeResult& m) {
  return {.term = m.term(), .id = m.id(), .answers = ReadList(in, {&at, "answers"}, m.answers(), sync::kMaxAddresses)};
}

sync::Report Read(WireReader& in, const Path& at, const v1::Report& m) {
  sync::Report out;
  if (m.has_interfaces()) {
    const Path list{&at, "interfaces"};
    out.interfaces = ReadList(in, {&list, "interfaces"}, m.interfaces().interfaces(), sync::kMaxInterfaces);
  }
  if (m.has_announced()) {
    const Path list{&at, "announced"};
    out.announced = ReadList(in, {&list, "addresses"}, m.announced().addresses(), sync::kMaxAddresses);
  }
  if (m.has_conflicts()) {
    const Path list{&at, "conflicts"};
    out.conflicts = ReadList(in, {&list, "conflicts"}, m.conflicts().conflicts(), sync::kMaxAddresses);
  }
  if (m.has_peers()) {
    const Path list{&at, "peers"};
    out.peers = ReadList(in, {&list, "peers"}, m.peers().peers(), sync::kMaxAddresses);
  }
  if (m.has_findings()) {
    const Path list{&at, "findings"};
    out.findings = ReadList(in, {&list, "findings"}, m.findings().findings(), sync::kMaxFindings);
  }
  out.leaving = m.leaving();
  out.cleaned = m.cleaned();
  out.wall_ns = WallTime(in, at, m.wall_ns());
  return out;
}

sync::AgentMessage ReadPayload(WireReader& in, const v1::AgentMessage& m) {
  switch (m.payload_case()) {
    case v1::AgentMessage::kHello:
      return Read(in, {nullptr, "hello"}, m.hello());
    case v1::AgentMessage::kHeartbeat:
      return sync::Heartbeat{.sequence = m.heartbeat().sequence()};
    case v1::AgentMessage::kApplied:
      return sync::Applied{.term = m.applied().term(), .version = m.applied().version()};
    case v1::AgentMessage::kRejected:
      return Read(in, {nullptr, "rejected"}, m.rejected());
    case v1::AgentMessage::kProbeResult:
      return Read(in, {nullptr, "probe_result"}, m.probe_result());
    case v1::AgentMessage::kReport:
      return Read(in, {nullptr, "report"}, m.report());
    case v1::AgentMessage::PAYLOAD_NOT_SET:
      break;
  }
  in.Fail({nullptr, "payload"}, "none that this controller knows is set");
  return {};
}

}  // namespace

v1::ControllerMessage ToProto(const sync::ControllerMessage& message) {
  v1::ControllerMessage out;
  std::visit(PayloadWriter{&out}, message);
  return out;
}

absl::StatusOr<sync::AgentMessage> FromProto(const v1::AgentMessage& message) {
  WireReader in;
  sync::AgentMessage out = ReadPayload(in, message);
  if (!in.ok()) return in.status();
  return out;
}

}  // namespace berth::push
