// SPDX-License-Identifier: Apache-2.0
#include "agent/desired/state_codec.h"

#include <google/protobuf/text_format.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "agent/link/controller_codec.h"
#include "berth/agent/v1/agent.pb.h"

namespace berth::agent {
namespace {

constexpr absl::string_view kFirstLine = "berth-agent-state 1\n";
constexpr absl::string_view kEndOfHead = "---\n";

void Write(absl::Duration d, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(d, absl::Seconds(1), &d));
  out->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(d)));
}

v1::Protocol ToProto(sync::Protocol protocol) {
  switch (protocol) {
    case sync::Protocol::kLayer2:
      return v1::PROTOCOL_LAYER2;
    case sync::Protocol::kBgp:
      return v1::PROTOCOL_BGP;
    case sync::Protocol::kVip:
      return v1::PROTOCOL_VIP;
  }
  return v1::PROTOCOL_UNSPECIFIED;
}

v1::Role ToProto(sync::Role role) {
  switch (role) {
    case sync::Role::kPrepare:
      return v1::ROLE_PREPARE;
    case sync::Role::kAnnounce:
      return v1::ROLE_ANNOUNCE;
    case sync::Role::kMute:
      return v1::ROLE_MUTE;
  }
  return v1::ROLE_UNSPECIFIED;
}

void Write(const sync::Assignment& a, v1::Assignment* out) {
  out->set_address(a.address.ToString());
  out->set_protocol(ToProto(a.protocol));
  out->set_interface(a.interface);
  out->set_role(ToProto(a.role));
  out->mutable_since()->set_term(a.since.term);
  out->mutable_since()->set_version(a.since.version);
  for (const sync::Candidate& c : a.candidates) {
    v1::Candidate* to = out->add_candidates();
    to->set_node(c.node);
    for (const MacAddr& mac : c.macs) to->add_macs(mac.ToString());
    to->set_probe_endpoint(c.probe_endpoint);
  }
  for (const MacAddr& mac : a.yield_to) out->add_yield_to(mac.ToString());
  for (const sync::ServiceRef& s : a.services) {
    v1::ServiceRef* to = out->add_services();
    to->set_namespace_(s.ns);
    to->set_name(s.name);
    for (const sync::PortRef& p : s.ports) {
      to->add_ports()->set_protocol(p.protocol);
      to->mutable_ports(to->ports_size() - 1)->set_port(p.port);
    }
  }
}

std::string Checksum(absl::string_view bytes) {
  return absl::StrFormat("%016x", XXH3_64bits(bytes.data(), bytes.size()));
}

// Takes "`key` VALUE\n" off the front of `rest`.
absl::StatusOr<std::string> TakeLine(absl::string_view& rest, absl::string_view key) {
  const std::size_t end = rest.find('\n');
  absl::string_view line = rest.substr(0, end);
  if (end == absl::string_view::npos || !absl::ConsumePrefix(&line, absl::StrCat(key, " "))) {
    return absl::DataLossError(absl::StrCat("line \"", key, "\" is missing"));
  }
  rest.remove_prefix(end + 1);
  return std::string(line);
}

}  // namespace

std::string EncodeState(const StoredState& state) {
  v1::Snapshot snapshot;
  snapshot.set_term(state.state.term);
  snapshot.set_version(state.state.version);
  Write(state.settings.heartbeat, snapshot.mutable_settings()->mutable_heartbeat());
  Write(state.settings.agent_timeout, snapshot.mutable_settings()->mutable_agent_timeout());
  for (const sync::Assignment& a : state.assignments) Write(a, snapshot.add_assignments());
  std::string body;
  google::protobuf::TextFormat::PrintToString(snapshot, &body);
  const std::string facts = absl::StrCat("boot_id ", state.boot_id, "\nhighest_term ", state.highest_term, "\n");
  return absl::StrCat(kFirstLine, facts, "checksum ", Checksum(facts + body), "\n", kEndOfHead, body);
}

absl::StatusOr<StoredState> DecodeState(absl::string_view bytes) {
  absl::string_view rest = bytes;
  if (!absl::ConsumePrefix(&rest, kFirstLine)) {
    return absl::DataLossError("the first line is not \"berth-agent-state 1\"");
  }
  StoredState state;
  const absl::string_view facts_begin = rest;
  const absl::StatusOr<std::string> boot_id = TakeLine(rest, "boot_id");
  if (!boot_id.ok()) return boot_id.status();
  const absl::StatusOr<std::string> term = TakeLine(rest, "highest_term");
  if (!term.ok()) return term.status();
  const absl::string_view facts = facts_begin.substr(0, facts_begin.size() - rest.size());
  const absl::StatusOr<std::string> checksum = TakeLine(rest, "checksum");
  if (!checksum.ok()) return checksum.status();
  if (!absl::ConsumePrefix(&rest, kEndOfHead)) return absl::DataLossError("line \"---\" is missing");
  if (Checksum(absl::StrCat(facts, rest)) != *checksum) return absl::DataLossError("the checksum does not match");
  state.boot_id = *boot_id;
  if (!absl::SimpleAtoi(*term, &state.highest_term)) return absl::DataLossError("highest_term is no number");

  v1::ControllerMessage message;
  if (!google::protobuf::TextFormat::ParseFromString(std::string(rest), message.mutable_snapshot())) {
    return absl::DataLossError("the part after \"---\" is no snapshot");
  }
  absl::StatusOr<sync::ControllerMessage> decoded = FromProto(message);
  if (!decoded.ok()) return absl::DataLossError(decoded.status().message());
  sync::Snapshot& snapshot = std::get<sync::Snapshot>(*decoded);
  state.state = {snapshot.term, snapshot.version};
  state.settings = snapshot.settings;
  state.assignments = std::move(snapshot.assignments);
  std::sort(state.assignments.begin(), state.assignments.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  return state;
}

}  // namespace berth::agent
