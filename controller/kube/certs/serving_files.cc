// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/serving_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"

namespace berth::kube {
namespace {

namespace fs = std::filesystem;

constexpr char kData[] = "..data";
constexpr char kSetPrefix[] = "..set-";

absl::Status WriteNew(const std::string& path, absl::string_view bytes, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  absl::Status status;
  while (!bytes.empty() && status.ok()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
    } else if (errno != EINTR) {
      status = ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    }
  }
  if (close(fd) != 0 && status.ok()) status = ErrnoStatus(errno, absl::StrCat("cannot write ", path));
  return status;
}

// Makes `link` lead to `target`, whatever it was before.
absl::Status PointTo(const std::string& link, const std::string& target) {
  std::error_code ignored;
  if (fs::read_symlink(link, ignored) == target) return absl::OkStatus();
  const std::string fresh = absl::StrCat(link, "_new");
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("cannot replace ", fresh));
  if (symlink(target.c_str(), fresh.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot create ", fresh));
  if (rename(fresh.c_str(), link.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot replace ", link));
  return absl::OkStatus();
}

void RemoveSets(const std::string& folder, const std::string& but) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (absl::StartsWith(name, kSetPrefix) && name != but) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace

absl::Status WriteServingFiles(const std::string& folder, const TlsMaterial& material) {
  RETURN_IF_ERROR(MakeFolders(folder));
  std::string set = absl::StrCat(folder, "/", kSetPrefix, "XXXXXX");
  if (mkdtemp(set.data()) == nullptr) return ErrnoStatus(errno, absl::StrCat("cannot create a folder in ", folder));
  const std::string name = fs::path(set).filename();
  const std::array<std::pair<const char*, const std::string*>, 3> files = {
      {{"ca.crt", &material.ca_bundle}, {"tls.crt", &material.cert}, {"tls.key", &material.key}}};
  absl::Status status;
  for (const auto& [file, bytes] : files) {
    if (status.ok()) status = WriteNew(absl::StrCat(set, "/", file), *bytes, 0600);
  }
  if (status.ok()) status = PointTo(absl::StrCat(folder, "/", kData), name);
  if (!status.ok()) {
    std::error_code ignored;
    fs::remove_all(set, ignored);
    return status;
  }
  for (const auto& [file, bytes] : files) {
    RETURN_IF_ERROR(PointTo(absl::StrCat(folder, "/", file), absl::StrCat(kData, "/", file)));
  }
  RemoveSets(folder, name);
  return absl::OkStatus();
}

TlsMaterial ReadServingFiles(const std::string& folder) {
  const auto read = [&folder](const char* name) {
    const auto bytes = ReadFile(absl::StrCat(folder, "/", name));
    return bytes.ok() ? bytes->value_or("") : std::string();
  };
  return {read("ca.crt"), "", read("tls.crt"), read("tls.key")};
}

}  // namespace berth::kube
