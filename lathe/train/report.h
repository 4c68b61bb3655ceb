#pragma once

#include <string>

#include "lathe/base/chart.h"
#include "lathe/train/run_log.h"

namespace lathe {

/// What a report tells of a run. Reading one takes no lock: the run may be going on, or have been killed.
struct RunRecord {
  std::string name;  ///< of the directory
  RunHistory history;
  std::string job;          ///< the text of job.toml; empty: not there
  int64_t steps = 0;        ///< that the job asks for; 0: unknown
  std::string last_change;  ///< of the log, "2026-01-31 12:00 UTC"
};

/// Throws Error as read_history does.
RunRecord read_run(const std::string& directory);

/// Training loss, behind it every step's, and held-out loss, over the tokens trained on.
Chart loss_chart(const RunRecord& run);

/// One self-contained page: no script, nothing from elsewhere, light or dark as its reader likes; below 1 MB however
/// long the run.
std::string report_page(const RunRecord& run);

}  // namespace lathe
