// SPDX-License-Identifier: Apache-2.0
// controller/doctor/findings.h -- what the parts of the doctor write their findings into, and how they name many
// objects.
#ifndef BERTH_CONTROLLER_DOCTOR_FINDINGS_H_
#define BERTH_CONTROLLER_DOCTOR_FINDINGS_H_

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/doctor/doctor.h"

namespace berth::doctor {

class Findings {
 public:
  using Severity = model::FindingView::Severity;
  void Error(std::string object, std::string message, std::string cure) {
    Add(Severity::kError, std::move(object), std::move(message), std::move(cure));
  }
  void Warning(std::string object, std::string message, std::string cure) {
    Add(Severity::kWarning, std::move(object), std::move(message), std::move(cure));
  }
  void Add(Severity severity, std::string object, std::string message, std::string cure) {
    std::vector<model::FindingView>& alike = severity == Severity::kError ? errors_ : warnings_;
    alike.push_back({severity, std::move(object), std::move(message), std::move(cure)});
  }
  std::vector<model::FindingView> Take() {
    std::move(warnings_.begin(), warnings_.end(), std::back_inserter(errors_));
    return std::move(errors_);
  }

 private:
  std::vector<model::FindingView> errors_, warnings_;
};

// "a, b, c and 7 more".
inline std::string SomeOf(const std::vector<std::string>& names, std::size_t most = 5) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) absl::StrAppend(&text, i == 0 ? "" : ", ", names[i]);
  if (names.size() > most) absl::StrAppend(&text, " and ", names.size() - most, " more");
  return text;
}
// "1 address", "2 addresses".
inline std::string Counted(std::size_t n, const char* one, const char* many) {
  return absl::StrCat(n, " ", n == 1 ? one : many);
}

void JudgeController(const Patient& patient, Findings& out);
void JudgeAgents(const Patient& patient, Findings& out);
void JudgeLan(const Patient& patient, Findings& out);
void JudgeAddresses(const Patient& patient, Findings& out);
void JudgeServices(const Patient& patient, Findings& out);
void JudgePools(const Patient& patient, Findings& out);

}  // namespace berth::doctor

#endif  // BERTH_CONTROLLER_DOCTOR_FINDINGS_H_
