// SPDX-License-Identifier: Apache-2.0
// controller/files/folder_reader.h -- reads and parses the manifests of a folder, those that changed. Blocks.
#ifndef BERTH_CONTROLLER_FILES_FOLDER_READER_H_
#define BERTH_CONTROLLER_FILES_FOLDER_READER_H_

#include <sys/stat.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "controller/files/manifest/manifest.h"

namespace berth::files {

struct FolderRequest {
  bool all = false;  // look at every file; else only at `names`
  std::set<std::string> names;
  std::set<std::string> being_written;  // leave these alone, also when `all`
  bool distrust_empty = false;          // with `all`: a folder without any manifest is an outage, not a deletion
};

struct FolderAnswer {
  absl::Status status;  // when not OK, the folder could not be looked at and nothing else is set
  std::vector<std::pair<std::string, ParsedFile>> files;  // new or changed
  std::vector<std::string> gone;
  std::set<std::string> busy;  // changed while it was read: ask again
};

// Remembers what each file looked like, to skip those that did not change. For one thread.
class FolderReader {
 public:
  // `known`: files that were there in an earlier life; they count as changed, or as gone.
  FolderReader(std::string folder, const std::vector<std::string>& known);

  FolderAnswer Read(const FolderRequest& request);

 private:
  // What changes when a file's content does.
  struct Signature {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::pair<std::int64_t, std::int64_t> modified{0, 0}, changed{0, 0};
    static Signature Of(const struct stat& st);
    friend bool operator==(const Signature&, const Signature&) = default;
  };

  absl::Status Look(const FolderRequest& request, FolderAnswer& answer);
  void ReadOne(const std::string& name, bool even_if_same, FolderAnswer& answer);
  // The file's text and signature; nothing when it changed meanwhile.
  std::optional<ParsedFile> Parse(const std::string& name, const std::string& path, Signature& seen) const;

  const std::string folder_;
  std::map<std::string, Signature> seen_;
  std::vector<std::string> gone_;  // of the present call, still in seen_
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_FOLDER_READER_H_
