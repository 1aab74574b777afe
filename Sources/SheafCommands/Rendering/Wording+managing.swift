import Sheaf
import SheafCore

extension Wording {
    /// What a pause has done.
    static func pausing(_ change: BatchChange) -> String {
        let batch = change.batch
        var text = "batch \(batch.record.id) is paused\(change.hasChanged ? "" : " already"): \(counts(batch.counts))"
        if batch.record.stopped != nil { text += "; its error policy has stopped it, too" }
        return text
    }

    /// What a resume has done.
    static func resuming(_ change: BatchChange) -> String {
        let batch = change.batch
        guard change.hasChanged else { return "batch \(batch.record.id) is not halted: \(conclusion(batch))" }
        if let stop = batch.record.stopped { return "batch \(batch.record.id) was stopped again: \(stop.reason)" }
        return "batch \(batch.record.id) goes on: \(counts(batch.counts))"
    }

    /// What was asked to run again.
    enum RetryTarget {
        case failed
        case named
        case missing
    }

    /// What a retry has done, line by line.
    static func retry(_ report: RetryReport, of target: RetryTarget) -> [String] {
        let id = report.batch.record.id
        var lines: [String] = []
        if report.retried == 0 {
            switch target {
            case .failed: lines.append("batch \(id) has no failed task that can run again")
            case .named: lines.append("none of these tasks of batch \(id) has failed and can run again")
            case .missing: lines.append("no task of batch \(id) is missing that can be published again")
            }
        } else {
            let verb = target == .missing ? "published again" : "opened again"
            lines.append("\(count(report.retried, "task")) of batch \(id) \(verb): \(counts(report.batch.counts))")
        }
        if report.invalid > 0 {
            lines.append(
                "\(count(report.invalid, "failed task")) left out: the record could not be read, so there is nothing to run"
            )
        }
        if report.withoutRecord > 0 {
            lines.append("\(count(report.withoutRecord, "task")) left out: the record is not to be had any more")
        }
        if report.unaffected > 0 {
            lines.append("\(count(report.unaffected, "task")) left out: not failed")
        }
        if report.retried > 0 {
            lines.append(
                report.batch.record.isPaused
                    ? "it is paused; 'sheaf resume \(id)' lets it go on"
                    : "run its tasks with 'sheaf run --until-empty', follow it with 'sheaf watch \(id)'"
            )
        }
        return lines
    }
}
