extension BatchSummary {
    /// How far the pilot is, or how it ended; nil if the batch has none.
    ///
    /// Its `isPassed` is false until it has ended.
    public var pilot: Pilot.Result? {
        guard let pilot = info.options.pilot else { return nil }
        if let result = info.pilotResult { return result }
        // A batch that has no tasks besides those of its pilot, and their twins, just ends.
        let settled = info.ending.map { ($0.counts.succeeded, $0.counts.failed) }
        let distinct = (info.sealedTotal ?? .max) - info.twins
        let tasks = distinct > pilot.tasks ? pilot.tasks : settled == nil ? distinct : info.sealedTotal ?? distinct
        let (succeeded, failed) = settled ?? (pilotSettled.succeeded, pilotSettled.failed)
        return Pilot.Result(tasks: tasks, succeeded: succeeded, failed: failed, usage: usage)
    }

    /// The pending tasks that workers may take now: without twins, and without those after a pilot that is not over.
    package var openPending: Int {
        let pending = max(0, counts.pending - openTwins)
        guard info.isPiloting, let pilot else { return info.isPastPilot ? pending : 0 }
        return min(pending, max(0, pilot.tasks - pilot.succeeded - pilot.failed - counts.running))
    }

    /// The pilot as a JSON object; null if there is none.
    var pilotJSON: JSONValue {
        guard let options = info.options.pilot, let pilot else { return .null }
        let state = info.isPiloting ? "running" : info.awaitsResume ? "waiting" : "over"
        return [
            "tasks": .integer(pilot.tasks),
            "pass": .optional(options.passText),
            "state": .string(state),
            "succeeded": .integer(pilot.succeeded),
            "failed": .integer(pilot.failed),
            "usage": pilot.usage.json,
            "projection": info.pilotResult == nil
                ? .null
                : [
                    "failure_rate": .number("\(pilot.failureRate)"), "total": .integer(total),
                    "failed": .integer(pilot.projectedFailures(of: total)),
                    "usage": pilot.projectedUsage(of: total - info.twins).json,
                ],
        ]
    }
}
