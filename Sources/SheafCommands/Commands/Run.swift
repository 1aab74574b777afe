import ArgumentParser
import Sheaf
import SheafCore
import SheafSettings

extension SheafCommand {
    /// Runs tasks.
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run tasks: take them from the broker and run several at once.",
            usage: "sheaf run [<options>]",
            discussion: """
                Runs until it is interrupted, or until the end that an option sets. On the first SIGINT (Ctrl-C) or \
                SIGTERM the worker takes no more tasks and lets running tasks finish, for up to --grace. After that \
                time, or on the second signal, it ends the rest and returns them to the queue. A third signal ends \
                the process immediately. Start any number of workers, on any number of machines.

                Examples:
                  sheaf run --until-empty
                  sheaf run -c 16 --flow wordcount
                  sheaf run -n 100 --max-time 10m
                  sheaf run --until-empty --batch last && sheaf results last
                  sheaf run --until-empty --grace 10m --exit-zero-after-drain
                """
        )

        @Option(
            name: [.customShort("n"), .long],
            help: ArgumentHelp("Run at most N tasks, then exit; default: no limit.", valueName: "n")
        )
        var maxTasks: Int?

        @Flag(
            help: """
                Exit when no task is left that this worker may run now; paused and stopped batches are left out. \
                With --batch, the exit code reports how that batch ended.
                """
        )
        var untilEmpty = false

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp("Run at most N tasks at once, from 1 to 10000 (default: 5).", valueName: "n")
        )
        var concurrency: Int?

        @Option(
            help: ArgumentHelp("Run only tasks of this flow; may be repeated; default: all flows.", valueName: "name")
        )
        var flow: [String] = []

        @Option(
            help: ArgumentHelp(
                "Run only tasks of this batch; 'last' is the newest one; default: all batches.",
                valueName: "batch"
            )
        )
        var batch: String?

        @Option(
            help: ArgumentHelp(
                "Take no more tasks after this time, such as 90s or 10m; default: no limit.",
                valueName: "time"
            )
        )
        var maxTime: TimeSpan?

        @Option(
            help: ArgumentHelp("Exit after this time without a task, such as 30s; default: never.", valueName: "time")
        )
        var idleTimeout: TimeSpan?

        @Option(
            help: ArgumentHelp(
                "How long running tasks may continue after the first signal, such as 2m (default: 25s).",
                valueName: "time"
            )
        )
        var grace: TimeSpan?

        @Option(
            help: ArgumentHelp(
                "The broker's own time-out for the end of a task, as configured there, such as 2h (default: 30m).",
                valueName: "time"
            )
        )
        var acknowledgementTimeout: TimeSpan?

        @Flag(
            help: """
                Take tasks only while the machine is idle: the load of other programs is below half its cores, and \
                there was no input at its terminals for five minutes.
                """
        )
        var whenIdle = false

        @Option(
            help: ArgumentHelp(
                "Serve metrics for Prometheus and probes there, such as :9464; default: no.",
                valueName: "host:port"
            )
        )
        var metrics: ListenAddress?

        @Flag(
            inversion: .prefixedNo,
            help: """
                Exit with 0 instead of 143 if SIGTERM ended the worker, every running task finished within --grace, and \
                the broker has confirmed everything; for jobs of Kubernetes.
                """
        )
        var exitZeroAfterDrain: Bool?

        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let maxTasks, maxTasks < 1 { throw ValidationError("-n must be 1 or more") }
            let range = Settings.concurrencyRange
            if let concurrency, !range.contains(concurrency) {
                throw ValidationError("--concurrency must be from \(range.lowerBound) to \(range.upperBound)")
            }
            if let acknowledgementTimeout, acknowledgementTimeout.duration < .seconds(1) {
                throw ValidationError("--acknowledgement-timeout must be 1s or more")
            }
        }

        func run() async throws {
            let session = try Session(common, concurrency: concurrency)
            let configuration = WorkerConfiguration(
                flows: try session.definitions(named: flow, isQuiet: batch != nil),
                concurrency: session.settings.concurrency,
                maxTasks: maxTasks,
                untilEmpty: untilEmpty,
                maxTime: maxTime?.duration,
                idleTimeout: idleTimeout?.duration,
                grace: grace?.duration ?? WorkerConfiguration.defaultGrace,
                acknowledgementTimeout: acknowledgementTimeout?.duration ?? session.settings.acknowledgementTimeout,
                prompt: TerminalPrompt(session.console)
            )
            let worker = WorkerSession(
                session: session,
                configuration: configuration,
                batch: batch,
                idle: whenIdle ? IdleWatch() : nil,
                metrics: metrics,
                exitsZeroAfterDrain: exitZeroAfterDrain ?? session.settings.exitsZeroAfterDrain
            )
            let verdict = try await worker.run()
            if verdict != .success { throw Diagnosis.silent(verdict) }
        }
    }
}
