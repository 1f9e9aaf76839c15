// SPDX-License-Identifier: Apache-2.0
// What a controller and an agent find on their disks, whoever damaged it: it is read as a whole or refused with words,
// and what was read is what is written the next time. An agent's file has a checksum, which is put right here first, so
// that more than its head is reached.
#include <google/protobuf/stubs/logging.h>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/desired/state_codec.h"
#include "controller/files/state_codec.h"

namespace berth {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckController(const std::string& text) {
  const absl::StatusOr<files::StateData> state = files::DecodeState(text);
  if (!state.ok()) return Require(!state.status().message().empty());
  files::RecordLines lines;
  for (const auto& [id, record] : state->services) lines[id] = files::EncodeRecord(id, record);
  std::string written;
  files::EncodeState(state->term, state->agents, lines,
                     [&](absl::string_view piece) { written.append(piece.data(), piece.size()); });
  const absl::StatusOr<files::StateData> again = files::DecodeState(written);
  Require(again.ok() && *again == *state);
}

void CheckAgent(const std::string& text) {
  const absl::StatusOr<agent::StoredState> state = agent::DecodeState(text);
  if (!state.ok()) return Require(absl::IsDataLoss(state.status()) && !state.status().message().empty());
  const absl::StatusOr<agent::StoredState> again = agent::DecodeState(agent::EncodeState(*state));
  Require(again.ok() && *again == *state);
}

// The first two lines of `text` are the facts, the rest is the body.
std::string WithChecksum(const std::string& text) {
  const std::size_t one = text.find('\n');
  const std::size_t two = one == std::string::npos ? one : text.find('\n', one + 1);
  if (two == std::string::npos) return text;
  const std::string sum = absl::StrFormat("%016x", XXH3_64bits(text.data(), text.size()));
  return absl::StrCat("berth-agent-state 1\n", text.substr(0, two + 1), "checksum ", sum, "\n---\n",
                      text.substr(two + 1));
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  [[maybe_unused]] static auto* const loud = google::protobuf::SetLogHandler(nullptr);  // bad text is expected here
  const std::string text(reinterpret_cast<const char*>(data), size);
  berth::CheckController(text);
  berth::CheckAgent(text);
  berth::CheckAgent(berth::WithChecksum(text));
  return 0;
}
