// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/replay_main.cc -- runs a fuzz target over stored inputs: files, or folders of them. No fuzzing engine
// needed.
//
//   arp_fuzz_replay tests/fuzz/corpus/arp
//
// Each input is also tried cut short at every length (up to 4 KiB), which is where parsers of bytes go wrong first.
// Exit code 1 when there is no input at all: a corpus that was moved away must not look like success.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> Inputs(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (!std::filesystem::is_directory(argv[i], error)) {
      paths.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i], error)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void Run(const std::vector<char>& bytes, std::size_t size) {
  // A buffer of exactly this size, so that AddressSanitizer sees a read past the end.
  const std::vector<std::uint8_t> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  int inputs = 0;
  for (const std::filesystem::path& path : Inputs(argc, argv)) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      return 1;
    }
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::fprintf(stderr, "%s: %zu bytes\n", path.c_str(), bytes.size());  // the last line names the culprit
    Run(bytes, bytes.size());
    for (std::size_t size = 0; size < std::min<std::size_t>(bytes.size(), 4096); ++size) Run(bytes, size);
    ++inputs;
  }
  if (inputs == 0) std::fprintf(stderr, "no input: name files or folders that hold some\n");
  return inputs == 0 ? 1 : 0;
}
