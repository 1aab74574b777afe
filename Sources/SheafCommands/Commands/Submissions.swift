import ArgumentParser
import Foundation
import OrderedCollections
import Sheaf
import SheafCore
import SheafFormats
import SheafSettings

extension SheafCommand {
    /// Looks at submissions.
    struct Submissions: AsyncParsableCommand, TakesArgument {
        static let configuration = CommandConfiguration(
            abstract: "List what was submitted to providers' batch APIs, and decide about it.",
            usage: "sheaf submissions [<options>] [<batch>]",
            discussion: """
                A flow with 'bulk' submits the requests of many tasks as one job of the provider. Such a submission \
                is 'unclear' if it may exist but cannot be found. Its tasks wait until it is found, or until \
                'resolve' decides about it.

                Examples:
                  sheaf submissions
                  sheaf submissions last --json
                  sheaf submissions show batch_68a1
                  sheaf submissions resolve batch_68a1 --not-created
                """,
            subcommands: [List.self, Show.self, Cancel.self, Resolve.self],
            defaultSubcommand: List.self
        )
    }
}

extension SheafCommand.Submissions {
    /// Lists submissions.
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List submissions, oldest first. (The default.)",
            usage: "sheaf submissions list [<options>] [<batch>]",
            discussion: """
                Example:
                  sheaf submissions list last
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one; default: all batches.")
        var batch: String?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let submissions = try await session.withClient { client in try await client.submissions(of: batch) }
            let costs = submissions.map { session.cost(of: $0) }
            if json.isOn {
                let all = zip(submissions, costs).map { $0.json.adding(["cost": $1?.json ?? .null]) }
                try session.console.print(JSONValue.array(all).text)
            } else if submissions.isEmpty {
                session.console.say("there are no submissions")
            } else {
                for line in SubmissionTable.lines(submissions, costs: costs, now: .now) {
                    try session.console.print(line)
                }
            }
        }
    }

    /// Shows one submission.
    struct Show: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a submission, or what was asked in it.",
            usage: "sheaf submissions show [<options>] <submission>",
            discussion: """
                With --requests, one line of JSON is printed for each task that was collected for the submission, \
                with its record and its parameters. They come from the broker, so they outlive the file at the \
                provider.

                Examples:
                  sheaf submissions show batch_68a1
                  sheaf submissions show batch_68a1 --requests
                """
        )

        @Argument(help: "The provider's id, or the key that 'sheaf submissions' prints.")
        var submission: String

        @Flag(help: "Print the tasks instead, one line of JSON each.")
        var requests = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            try await session.withClient { client in
                let submission = try await client.submission(self.submission)
                if requests {
                    return try await client.tasks(of: submission) { task in
                        try session.console.print(try task.requestJSON.text)
                    }
                }
                let cost = session.cost(of: submission)
                if json.isOn {
                    return try session.console.print(submission.json.adding(["cost": cost?.json ?? .null]).text)
                }
                for line in SubmissionTable.details(submission, cost: cost, now: .now) {
                    try session.console.print(line)
                }
            }
        }
    }

    /// Asks for the end of a submission.
    struct Cancel: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask the provider to end a submission; its tasks without a result are submitted again.",
            usage: "sheaf submissions cancel [<options>] <submission>",
            discussion: """
                The worker that follows the submission does it when it next looks at it. Results that the provider \
                has already are kept. To end the tasks too, use 'sheaf cancel BATCH --now'.

                Example:
                  sheaf submissions cancel batch_68a1
                """
        )

        @Argument(help: "The provider's id, or the key that 'sheaf submissions' prints.")
        var submission: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let submission = try await session.withClient { client in
                try await client.cancelSubmission(self.submission, by: SubmissionTable.author)
            }
            session.console.say("submission \(submission.name) will be cancelled when its worker next looks at it")
            if json.isOn { try session.console.print(submission.json.text) }
        }
    }

    /// Decides about an unclear submission.
    struct Resolve: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Decide about an unclear submission: which one it is, or that it was not created.",
            usage: "sheaf submissions resolve [<options>] <submission> (--id <id> | --not-created)",
            discussion: """
                Look at the provider first, for example on its web page: an unclear submission was created at about \
                the time that 'sheaf submissions show' prints. With --id, its results are fetched. With \
                --not-created, its requests are submitted again, and are paid for twice if it exists after all. The \
                first decision counts.

                Examples:
                  sheaf submissions resolve sheaf3k2j9x --id batch_68a1
                  sheaf submissions resolve sheaf3k2j9x --not-created
                """
        )

        @Argument(help: "The key that 'sheaf submissions' prints.")
        var submission: String

        @Option(help: "The provider's id of the submission.")
        var id: String?

        @Flag(help: "The provider has no such submission.")
        var notCreated = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if (id != nil) == notCreated { throw ValidationError("name either --id or --not-created") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let submission = try await session.withClient { client in
                try await client.resolveSubmission(
                    self.submission,
                    as: id.map { .created($0) } ?? .notCreated,
                    by: SubmissionTable.author
                )
            }
            let next = id.map { "its results will be those of \($0)" } ?? "its requests will be submitted again"
            session.console.say("submission \(submission.name) is decided: \(next)")
            if json.isOn { try session.console.print(submission.json.text) }
        }
    }
}

extension Session {
    /// What the results of a submission have cost; nil if the configuration does not have its flow.
    fileprivate func cost(of submission: Submission) -> Cost? {
        settings.flows[submission.flow]?.pricing?.cost(of: submission.usage)
    }
}
