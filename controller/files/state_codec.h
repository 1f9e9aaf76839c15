// SPDX-License-Identifier: Apache-2.0
// controller/files/state_codec.h -- what the files source must not forget, and its text form: JSON, sorted, one Service
// a line, so that people can read, grep and compare it. Pure.
#ifndef BERTH_CONTROLLER_FILES_STATE_CODEC_H_
#define BERTH_CONTROLLER_FILES_STATE_CODEC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/atomic_file.h"
#include "controller/model/objects.h"
#include "controller/model/source.h"

namespace berth::files {

// A Service that holds addresses, or whose release is not finished.
struct RecordedService {
  std::vector<model::Allocation> allocations;
  std::string managed_by;  // see model::Service
  bool hold = false;       // see model::ServiceWrite
  // The manifest as last read and the file it was in: in force while that file is unreadable, and shown while the
  // Service is going away. Absent in a record that somebody wrote by hand.
  std::string file;
  // Shared with the catalog, with writes under way, and with what the state file was read as: it is the large part.
  std::shared_ptr<const model::Service> spec;
  friend bool operator==(const RecordedService& a, const RecordedService& b) {
    const bool same_spec = a.spec == b.spec || (a.spec != nullptr && b.spec != nullptr && *a.spec == *b.spec);
    return same_spec && a.allocations == b.allocations && a.managed_by == b.managed_by && a.hold == b.hold &&
           a.file == b.file;
  }
};

struct StateData {
  std::uint64_t term = 0;  // of the newest leadership
  std::vector<model::ClusterSource::KnownAgent> agents;
  std::map<model::ObjectId, RecordedService> services;
  friend bool operator==(const StateData&, const StateData&) = default;
};

// One Service's line, without its end.
std::string EncodeRecord(const model::ObjectId& id, const RecordedService& record);
// The lines of all Services. A tree of blocks: there are as many as Services, and all stay.
using RecordLines = absl::btree_map<model::ObjectId, std::string>;
// The whole file, piece by piece; `records` are lines of EncodeRecord.
void EncodeState(std::uint64_t term, const std::vector<model::ClusterSource::KnownAgent>& agents,
                 const RecordLines& records, const ByteSink& out);
// Errors: FailedPrecondition for a file of another format version, which a newer Berth wrote; InvalidArgument, with
// line and field, for anything else that is not exactly such a file: it is never half-read.
absl::StatusOr<StateData> DecodeState(absl::string_view text);

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_STATE_CODEC_H_
