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
#include "common/sync/proto_writer.h"

namespace berth::agent {
namespace {

constexpr absl::string_view kFirstLine = "berth-agent-state 1\n";
constexpr absl::string_view kEndOfHead = "---\n";

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
  sync::Write(state.settings, snapshot.mutable_settings());
  for (const sync::Assignment& a : state.assignments) sync::Write(a, snapshot.add_assignments());
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
