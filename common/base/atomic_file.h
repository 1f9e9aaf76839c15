// SPDX-License-Identifier: Apache-2.0
// common/base/atomic_file.h -- small state files that survive a crash: after a return with OK the new bytes are on
// disk, after an error or a power cut the file holds either all old or all new bytes.
//
// Errors of all: the code follows errno (NotFound, PermissionDenied, ResourceExhausted for a full disk,
// FailedPrecondition for a read-only one, Internal else); the message has what was tried, the path and errno's text.
#ifndef BERTH_COMMON_BASE_ATOMIC_FILE_H_
#define BERTH_COMMON_BASE_ATOMIC_FILE_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// Replaces `path` by way of a new file in the same folder: write, fsync, rename, fsync of the folder. `mode` is not cut
// by the umask. The folder must exist. On an error the old file is untouched and no temporary is left. Blocks on the
// disk.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode = 0600);

// The same of bytes that `make` hands to its argument piece by piece: a large file is never whole in memory.
using ByteSink = std::function<void(absl::string_view)>;
absl::Status WriteFileAtomically(const std::string& path, const std::function<void(const ByteSink&)>& make,
                                 mode_t mode = 0600);

// Removes the temporaries of `path` that processes have left which were killed in the middle of such a write. One that
// is being written by somebody else goes too, and that write fails: only for who knows that there is none. Removes what
// it can, and leaves the rest for the next time.
void RemoveTemporaries(const std::string& path);

// All bytes of `path`, or nullopt when there is no such file (an absent folder counts too).
absl::StatusOr<std::optional<std::string>> ReadFile(const std::string& path);

// Renames `path` to `path`.corrupt-N with the lowest N >= 1 that is free, and returns that name: unreadable state is
// kept for a person to look at. Errors: NotFound when there is no such file.
absl::StatusOr<std::string> MoveAside(const std::string& path);

// Makes `path` and the folders above it where absent (`mode` for each new one).
absl::Status MakeFolders(const std::string& path, mode_t mode = 0700);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_ATOMIC_FILE_H_
