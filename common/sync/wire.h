// SPDX-License-Identifier: Apache-2.0
// common/sync/wire.h -- what both ends of an agent's stream share: bounds, and a reader that judges fields. No
// protobuf.
//
//   WireReader in;
//   WireReader::Path hello{nullptr, "hello"};
//   value.node = in.Name({&hello, "node"}, message.node());
//   value.local = in.List({&hello, "local"}, message.local(), kMaxAddresses, [&](auto& at, auto& text) {
//     return in.Address(at, text); });
//   if (!in.status().ok()) ...   // InvalidArgument: hello.local[3]: invalid IP address "10.0.0.x": ...
//
// The reader keeps the first thing that is wrong; what it returns after that means nothing.
#ifndef BERTH_COMMON_SYNC_WIRE_H_
#define BERTH_COMMON_SYNC_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/net/cidr.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::sync {

// Bounds on what comes from outside; agent.proto promises them.
inline constexpr std::size_t kMaxAgentMessageBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxControllerMessageBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxNameBytes = 253;
inline constexpr std::size_t kMaxTextBytes = 1024;
inline constexpr int kMaxAddresses = 65536;  // in one list of a message
inline constexpr int kMaxInterfaces = 1024;  // of a node; also prefixes and gateways of one interface
inline constexpr int kMaxMacs = 64;          // also candidates of an address, and interfaces that announce it
inline constexpr int kMaxServices = 1024;    // of an address; also ports of one Service
inline constexpr int kMaxPeerKeys = 8;
inline constexpr std::size_t kPeerSecretSize = 32;
inline constexpr absl::Duration kMinDuration = absl::Milliseconds(1);
inline constexpr absl::Duration kMaxDuration = absl::Hours(1);

// Initial metadata by which a controller says that the stream is established.
inline constexpr char kApiMetadataKey[] = "berth-agent-api";
inline constexpr char kApiMetadataValue[] = "v1";

// `text` made fit for a protobuf string of at most `max` bytes: bytes that are not UTF-8 become '?', the rest is cut at
// the end of a character. Texts of kernels and libraries are anything.
std::string WireText(absl::string_view text, std::size_t max);
// The same for a name: at most kMaxNameBytes, control characters become '?' as well (an interface's name may hold any).
std::string WireName(absl::string_view text);
// The same for what people read: at most kMaxTextBytes.
inline std::string WireMessage(absl::string_view text) { return WireText(text, kMaxTextBytes); }

class WireReader {
 public:
  // Where a field is; lives on the stack, made into text only when something is wrong there.
  struct Path {
    const Path* parent = nullptr;
    const char* name = "";
    int index = -1;                // in a list
    std::string ToString() const;  // "snapshot.assignments[3].since"
  };

  // OK, or InvalidArgument with the path of the first bad field.
  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  void Fail(const Path& at, absl::string_view what);

  IpAddr Address(const Path& at, absl::string_view text);
  MacAddr Mac(const Path& at, absl::string_view text);
  Cidr Prefix(const Path& at, absl::string_view text);
  // At most kMaxNameBytes of UTF-8, no control characters; `Name` may not be empty, `NameOrEmpty` may.
  std::string Name(const Path& at, absl::string_view text);
  std::string NameOrEmpty(const Path& at, absl::string_view text);
  // Free text of at most kMaxTextBytes.
  std::string Text(const Path& at, absl::string_view text);
  std::uint16_t Port(const Path& at, std::uint32_t port);
  // Seconds and nanoseconds of a google.protobuf.Duration, within kMinDuration..kMaxDuration.
  absl::Duration Time(const Path& at, std::int64_t seconds, std::int32_t nanos);

  // Each entry of `list` through `read(path, entry)`; more than `max` of them are an error, read before any entry.
  template <typename Entries, typename Read>
  auto List(const Path& at, const Entries& list, int max, Read read) {
    using Value = std::decay_t<decltype(read(at, *list.begin()))>;
    std::vector<Value> out;
    if (!CheckCount(at, static_cast<std::size_t>(list.size()), max)) return out;
    out.reserve(static_cast<std::size_t>(list.size()));
    Path entry = at;
    entry.index = 0;
    for (const auto& item : list) {
      if (!ok()) break;
      out.push_back(read(std::as_const(entry), item));
      ++entry.index;
    }
    return out;
  }
  template <typename Entries>
  std::vector<IpAddr> Addresses(const Path& at, const Entries& list, int max) {
    return List(at, list, max, [this](const Path& p, const auto& text) { return Address(p, text); });
  }
  template <typename Entries>
  std::vector<MacAddr> Macs(const Path& at, const Entries& list) {
    return List(at, list, kMaxMacs, [this](const Path& p, const auto& text) { return Mac(p, text); });
  }

 private:
  bool CheckCount(const Path& at, std::size_t count, int max);
  absl::Status status_;
};

}  // namespace berth::sync

#endif  // BERTH_COMMON_SYNC_WIRE_H_
