// SPDX-License-Identifier: Apache-2.0
#include "agent/desired/state_codec.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
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
constexpr absl::string_view kChecksum = "checksum ";
constexpr std::size_t kChecksumSize = 16;  // digits
constexpr absl::string_view kEndOfHead = "---\n";

// Of one after the other.
std::string Checksum(absl::string_view facts, absl::string_view body) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), facts.data(), facts.size());
  XXH3_64bits_update(state.get(), body.data(), body.size());
  return absl::StrFormat("%016x", XXH3_64bits_digest(state.get()));
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

// With 10,000 addresses the text takes 3 MiB: it is written in place, and the message it is printed from holds one
// assignment at a time. The text form of a whole is that of its parts in a row.
std::string EncodeState(const StoredState& state) {
  const std::string facts = absl::StrCat("boot_id ", state.boot_id, "\nhighest_term ", state.highest_term, "\n");
  const std::size_t checksum = kFirstLine.size() + facts.size() + kChecksum.size();
  std::string bytes = absl::StrCat(kFirstLine, facts, kChecksum, std::string(kChecksumSize, '0'), "\n", kEndOfHead);
  const std::size_t body = bytes.size();
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    v1::Snapshot part;
    part.set_term(state.state.term);
    part.set_version(state.state.version);
    sync::Write(state.settings, part.mutable_settings());
    google::protobuf::TextFormat::Print(part, &stream);
    for (const sync::Assignment& a : state.assignments) {
      part.Clear();
      sync::Write(a, part.add_assignments());
      google::protobuf::TextFormat::Print(part, &stream);
    }
  }
  bytes.replace(checksum, kChecksumSize, Checksum(facts, absl::string_view(bytes).substr(body)));
  return bytes;
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
  if (Checksum(facts, rest) != *checksum) return absl::DataLossError("the checksum does not match");
  state.boot_id = *boot_id;
  if (!absl::SimpleAtoi(*term, &state.highest_term)) return absl::DataLossError("highest_term is no number");

  v1::ControllerMessage message;
  if (rest.size() > std::numeric_limits<int>::max()) return absl::DataLossError("it is larger than 2 GiB");
  google::protobuf::io::ArrayInputStream body(rest.data(), static_cast<int>(rest.size()));
  if (!google::protobuf::TextFormat::Parse(&body, message.mutable_snapshot())) {
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
