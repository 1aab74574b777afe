import Sheaf
import SheafCore
import SheafFormats
import SheafSettings

/// Numbers, times, results and advice in the words of the command.
enum Wording {
    /// Returns tags on one line, sorted by key.
    static func tags(_ tags: [String: String]) -> String {
        tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    /// Returns a count with its noun: `1 task`, `2 tasks`.
    static func count(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// Returns a percentage, rounded down, so that it is 100 % only when all are done.
    static func percent(_ part: Int, of total: Int) -> String {
        guard total > 0 else { return "100%" }
        return "\(Int(Double(part) / Double(total) * 100))%"
    }

    /// Returns a rate: `0.4/s`, `12/s`.
    static func rate(_ perSecond: Double) -> String {
        perSecond < 10 ? "\((perSecond * 10).rounded() / 10)/s" : "\(Int(perSecond.rounded()))/s"
    }

    /// Returns a duration in its two largest units: `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
    static func duration(_ duration: Duration) -> String {
        let seconds = max(0, duration / .seconds(1))
        if seconds < 9.95 { return "\((seconds * 10).rounded() / 10) s" }
        let whole = Int(seconds.rounded())
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3600: return "\(whole / 60) min \(whole % 60) s"
        case ..<86400: return "\(whole / 3600) h \(whole / 60 % 60) min"
        default: return "\(whole / 86400) d \(whole / 3600 % 24) h"
        }
    }

    /// Returns how long ago a time was.
    static func ago(_ time: Timestamp, now: Timestamp) -> String {
        "\(duration(now - time)) ago"
    }

    /// Returns the counts of a batch that are not 0.
    static func counts(_ counts: BatchCounts) -> String {
        let parts = [
            (counts.succeeded, "succeeded"), (counts.failed, "failed"), (counts.running, "running"),
            (counts.pending, "pending"), (counts.cancelled, "cancelled"),
        ]
        let words = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return words.isEmpty ? "no tasks" : words.joined(separator: ", ")
    }

    /// Returns how many tasks have a record that is identical to an earlier one; nil if none has.
    static func twins(_ twins: Int, of total: Int) -> String? {
        guard twins > 0 else { return nil }
        let isOne = twins == 1
        return "\(twins) of \(count(total, "task")) \(isOne ? "has" : "have") a record identical to an earlier one and "
            + "\(isOne ? "gets" : "get") its outcome"
    }

    /// Returns how many tasks wait for a rate limit, and how long it is still paused.
    static func limit(_ wait: RateLimitWait, now: Timestamp) -> String {
        let text = "\(count(wait.tasks, "task")) for \(wait.key)"
        guard let until = wait.until, until > now else { return text }
        return text + ", which is paused for another \(duration(until - now))"
    }

    /// Returns how many submissions are under way, by state; nil if none is.
    static func submissions(_ submissions: [Submission]) -> String? {
        let open = submissions.filter { !$0.state.isFinal }
        let parts = Submission.State.allCases.compactMap { state in
            let count = open.count { $0.state == state }
            return count > 0 ? "\(count) \(state.rawValue)" : nil
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// Returns the status and the counts of a batch, as its result.
    static func conclusion(_ summary: BatchSummary) -> String {
        let text = "batch \(summary.info.id) \(summary.status.rawValue): \(counts(summary.counts))"
        return text + (stop(of: summary).map { " (\($0))" } ?? "")
    }

    /// Returns that the pilot of a batch is over and how to go on; nil if the batch does not wait for that.
    static func endOfPilot(_ summary: BatchSummary) -> String? {
        guard summary.info.awaitsResume, let pilot = summary.pilot else { return nil }
        let id = summary.info.id
        return "the pilot is over: \(pilot.succeeded) of \(count(pilot.tasks, "task")) succeeded\n"
            + "'sheaf status \(id)' shows what the whole batch comes to, \(commandLine(for: .resumeBatch(id))), "
            + "'sheaf cancel \(id)' drops the rest"
    }

    /// Returns how a new batch begins if it has a pilot, or nil if it has none.
    static func startOfPilot(_ pilot: Pilot?, of created: CreatedBatch) -> String? {
        guard let pilot else { return nil }
        if created.total <= pilot.tasks { return "the pilot has all its tasks, so the batch does not pause" }
        let pass = pilot.passText.map { " unless \($0) of them succeed" } ?? ""
        return "the first \(count(pilot.tasks, "task")) run as a pilot, then the batch pauses\(pass)"
    }

    /// Returns how a pilot ended or how far it is, and what it has cost.
    static func pilot(_ summary: BatchSummary, cost: Cost?) -> String? {
        guard let pilot = summary.pilot else { return nil }
        var text = "\(count(pilot.tasks, "task")): \(pilot.succeeded) succeeded, \(pilot.failed) failed"
        if summary.info.pilotResult != nil {
            let tenths = (pilot.failureRate * 1000).rounded()
            let isWhole = tenths.truncatingRemainder(dividingBy: 10) == 0
            text += " (\(isWhole ? "\(Int(tenths / 10))" : "\(tenths / 10)")%)"
        } else if summary.info.isPiloting {
            text += ", \(max(0, pilot.tasks - pilot.succeeded - pilot.failed)) open"
        }
        return ([text] + amounts(pilot.usage, cost)).joined(separator: "; ")
    }

    /// Returns what the whole batch comes to, as its pilot lets expect; nil before the pilot's end and after the batch's.
    static func projection(_ summary: BatchSummary, cost: Cost?) -> String? {
        guard let pilot = summary.info.pilotResult, summary.info.ending == nil else { return nil }
        let total = summary.total
        let text =
            "\(count(total, "task"))\(summary.isSealed ? "" : " so far"): about \(pilot.projectedFailures(of: total)) failed"
        return ([text] + amounts(pilot.projectedUsage(of: total), cost)).joined(separator: "; ")
    }

    private static func amounts(_ usage: Usage, _ cost: Cost?) -> [String] {
        if usage.isEmpty { return [] }
        let amounts = usage.sorted.map { "\($0.amount) \($0.name)" }.joined(separator: ", ")
        return [amounts] + (cost.map { ["cost \($0)"] } ?? [])
    }

    /// Returns why a batch is stopped, or nil if it is not.
    static func stop(of summary: BatchSummary) -> String? {
        guard summary.status == .failed, let reason = summary.info.stopped?.reason else { return nil }
        return "stopped: \(message(reason, advice: summary.info.stopAdvice))"
    }

    /// Returns how to go on after a batch in which tasks have failed, or nil if none has.
    static func afterFailures(_ summary: BatchSummary) -> String? {
        let id = summary.info.id
        guard summary.counts.failed > 0 else { return nil }
        let show = "'sheaf results \(id) --status failed' shows what failed"
        switch summary.status {
        case .cancelled: return show
        case .failed where summary.info.stopAdvice == nil && summary.info.ending == nil:
            return "\(show)\n\(commandLine(for: .resumeBatch(id))), \(commandLine(for: .retryBatch(id)))"
        default: return "\(show)\n\(commandLine(for: .retryBatch(id)))"
        }
    }
}

extension Wording {
    /// Returns how a batch whose tasks are published goes on; only its own program can run an external flow.
    static func nextSteps(for batch: Name, of flow: Name, isExternal: Bool) -> String {
        let run =
            isExternal
            ? "start the program that holds flow '\(flow)' (swift: true) to run its tasks; 'sheaf run' cannot"
            : "run its tasks with 'sheaf run --until-empty'"
        return "\(run), follow it with 'sheaf watch \(batch)'"
    }

    /// Returns the result of a pause.
    static func pausing(_ change: BatchChange) -> String {
        let batch = change.batch
        var text =
            "batch \(batch.info.id) is \(change.hasChanged ? "paused" : "already paused"): \(counts(batch.counts))"
        if batch.info.stopped != nil { text += "; it is stopped, too" }
        return text
    }

    /// Returns the result of a resume.
    static func resuming(_ change: BatchChange) -> String {
        let batch = change.batch
        guard change.hasChanged else {
            return
                "batch \(batch.info.id) is not paused or stopped: it is \(batch.status), with \(counts(batch.counts))"
        }
        if let stop = batch.info.stopped { return "batch \(batch.info.id) was stopped again: \(stop.reason)" }
        return "batch \(batch.info.id) continues: \(counts(batch.counts))"
    }

    /// The tasks that a retry was asked for.
    enum RetryTarget {
        case failed
        case named
        case missing
    }

    /// Returns the result of a retry, line by line.
    static func retry(_ report: RetryReport, of target: RetryTarget, isExternal: Bool = false) -> [String] {
        let id = report.batch.info.id
        var lines: [String] = []
        if report.retried == 0 {
            switch target {
            case .failed: lines.append("batch \(id) has no failed task that can run again")
            case .named: lines.append("none of these tasks of batch \(id) has failed and can run again")
            case .missing: lines.append("batch \(id) has no missing task that can be published again")
            }
        } else {
            let verb = target == .missing ? "published again" : "run again"
            lines.append("\(count(report.retried, "task")) of batch \(id) \(verb): \(counts(report.batch.counts))")
        }
        if report.invalid > 0 {
            lines.append(
                "\(count(report.invalid, "failed task")) left out: the record could not be read"
            )
        }
        if report.withoutRecord > 0 {
            lines.append("\(count(report.withoutRecord, "task")) left out: the record is no longer available")
        }
        if report.unaffected > 0 {
            lines.append("\(count(report.unaffected, "task")) left out: not failed")
        }
        if report.retried > 0 {
            lines.append(
                report.batch.info.isPaused
                    ? "it is paused; \(commandLine(for: .resumeBatch(id)))"
                    : nextSteps(for: id, of: report.batch.info.flow, isExternal: isExternal)
            )
        }
        return lines
    }
}

extension Wording {
    /// Returns a message of the library with the command line that follows from its advice.
    static func message(_ text: String, advice: Advice?) -> String {
        advice.map { "\(text); \(commandLine(for: $0))" } ?? text
    }

    /// Returns the command line that follows from advice, as the last part of a sentence.
    static func commandLine(for advice: Advice) -> String {
        switch advice {
        case .createBatch: "'sheaf create' creates one"
        case .createInteractive: "'sheaf create --interactive' creates a batch whose tasks can ask"
        case .chooseAnotherID: "choose another --batch-id, or leave it out"
        case .listBatches: "'sheaf list' shows the existing ones"
        case .resumeCreation(let id): "'sheaf create --resume \(id)' publishes the rest"
        case .resumeBatch(let id): "'sheaf resume \(id)' continues it"
        case .cancelOrForceDeletion(let id): "'sheaf cancel \(id)' ends it, and --force does so before deleting"
        case .forceDeletion(let id):
            "'sheaf delete \(id) --force' removes the rest; then create the batch again under another id"
        case .retryBatch(let id): "'sheaf retry \(id)' runs the failed tasks again"
        case .retryTask(let id, let index): "'sheaf retry \(id) --index \(index)' runs it again"
        case .retryMissing(let id): "'sheaf retry \(id) --missing' publishes them again"
        case .forceRetryMissing: "wait for them, or publish them again with --force"
        case .setMaxRunning(let id):
            "'sheaf set \(id) max_running=N' creates them again, and 'sheaf resume \(id)' continues the batch"
        case .listDeadLetters: "'sheaf dead list' shows the existing ones"
        case .showDeadLetter(let number): "'sheaf dead show \(number)' shows what it holds"
        case .listQuestions: "'sheaf questions' lists the open ones"
        case .listSubmissions: "'sheaf submissions' lists them"
        }
    }

    /// Returns advice about the broker, as a line of its own.
    static func advice(_ remedy: Problem.Remedy) -> String {
        switch remedy {
        case .batches(let advice): commandLine(for: advice)
        case .checkCredentials:
            "check the user, the password and the virtual host in the broker's URL (--broker, SHEAF_BROKER)"
        case .checkCertificate:
            "check the host, the cacertfile and the dates in the broker's URL and certificate (docs/tls.md)"
        case .examineBroker: "'sheaf doctor' shows which broker is used and why"
        case .tryLater: "try again later; 'sheaf doctor' shows the broker's limits"
        }
    }
}
