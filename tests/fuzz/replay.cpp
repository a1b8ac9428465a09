// SPDX-License-Identifier: Apache-2.0
//
// replay DIRECTORY: gives every target the files of DIRECTORY/corpus/TARGET and DIRECTORY/regressions/TARGET, and what
// becomes of each of them when it is cut off at some places. Needs no libFuzzer.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

struct Target {
  const char* name;
  void (*run)(std::string_view);
};
constexpr Target targets[] = {
    {"term", &fuzz::term},         {"config", &fuzz::config},     {"table_file", &fuzz::table_file},
    {"job_args", &fuzz::job_args},
#if defined(FUZZ_TOUR)
    {"http", &fuzz::http},         {"commands", &fuzz::commands},
#endif
};

std::size_t replay(const Target& target, const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::exists(directory)) return 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::fprintf(stderr, "%s %s\n", target.name, path.filename().c_str());
    target.run(bytes);
    for (const std::size_t parts : {2U, 3U, 7U}) target.run(std::string_view(bytes).substr(0, bytes.size() / parts));
  }
  return files.size();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: replay DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path root(argv[1]);
  for (const Target& target : targets) {
    const std::size_t corpus = replay(target, root / "corpus" / target.name);
    const std::size_t regressions = replay(target, root / "regressions" / target.name);
    std::fprintf(stderr, "%s: %zu of the corpus, %zu regressions\n", target.name, corpus, regressions);
    if (corpus == 0) {
      std::fprintf(stderr, "replay: there is no corpus of %s\n", target.name);
      return 1;
    }
  }
  return 0;
}
