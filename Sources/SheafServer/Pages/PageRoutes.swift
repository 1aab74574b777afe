import HTTPTypes
import Hummingbird
import NIOCore
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The pages of the dashboard, and the files that they load.
struct PageRoutes {
    let client: SheafClient
    let directory: BatchDirectory
    let tasks: TaskDirectory
    let history: RateHistory
    let readings: BatchReadings
    /// The flows of the server's own configuration.
    let flows: [FlowSettings]
    /// Whether browsers sign in with a token, so that they can sign out.
    let hasTokens: Bool
    let files: PageFiles

    /// What a handler of a page works with.
    struct Visit {
        let request: Request
        let context: ServerContext
        /// What links begin with.
        var base: String { context.prefix }
        /// Whether the page offers to change anything.
        var mayWrite: Bool { context.scope?.includes(.write) == true }
    }

    func register(on group: RouterGroup<ServerContext>) {
        for asset in files.assets {
            group.get("assets/\(asset.name)") { _, _ in Response(asset) }
        }
        page(group, "") { batches($0) }
        page(group, "batches") { batches($0) }
        page(group, "batches/:batch") { try await batch($0) }
        page(group, "batches/:batch/tasks") { try await tasks($0) }
        page(group, "batches/:batch/tasks/:index") { try await task($0) }
        page(group, "batches/:batch/journal") { try await journal($0) }
        page(group, "new") { visit in
            let names = flows.map(\.name.text)
            return Page(.batches, "New batch", "new", NewBatchView(flows: names, base: visit.base))
        }
        page(group, "workers") { visit in
            let view = WorkerListView(
                directory.workers,
                flowOf: { try? directory.summary(of: $0.text).info.flow },
                base: visit.base
            )
            return Page(.workers, "Workers", "workers", view, interval: 2)
        }
        page(group, "flows") { visit in
            let (workers, batches) = (directory.workers, directory.snapshot)
            let view = FlowListView(flows, workers: workers, batches: batches, base: visit.base)
            return Page(.flows, "Flows", "flows", view, events: "/api/events", interval: 5)
        }
        page(group, "questions") { visit in
            let questions = try await directory.questions(of: nil)
            let view = QuestionView(questions, base: visit.base, mayWrite: visit.mayWrite)
            return Page(.questions, "Questions", "questions", view, events: "/api/events", interval: 5)
        }
        page(group, "dead") { visit in
            let view = DeadLetterListView(
                try await client.deadLetters(),
                base: visit.base,
                mayWrite: visit.mayWrite
            )
            return Page(.dead, "Dead letters", "dead", view, interval: 10)
        }
        page(group, "dead/:number") { visit in
            guard let number = Int64(try visit.context.parameter("number")), number >= 0 else { throw Self.missing }
            let (letter, message) = try await client.deadLetter(at: number)
            let view = DeadLetterView(letter, message, base: visit.base, mayWrite: visit.mayWrite)
            return Page(.dead, "Dead letter \(number)", "letter", view)
        }
    }

    private static let missing = HTTPError(.notFound, message: "The address is wrong, or what it led to was deleted.")

    /// Returns the page that asks for a token.
    @Sendable
    func signIn(target: String, prefix: String, isRefused: Bool) -> String {
        let problem = isRefused ? "This token is not valid." : nil
        let view = SignInView(base: prefix, problem: problem, target: target)
        var shell = shell(base: prefix, part: nil, hasNavigation: false)
        shell.isSignedIn = false
        return files.text(of: Page(nil, "Sign in", "sign-in", view), in: shell)
    }

    /// Returns the page for an address that leads nowhere; it shows nothing of the state, because anyone may see it.
    @Sendable
    func missing(_ request: Request, prefix: String) -> Response {
        let page = Self.problem(Self.missing, base: prefix)
        return files.response(to: request, page, in: shell(base: prefix, part: nil, hasNavigation: false))
    }

    // MARK: Batches

    private func batches(_ visit: Visit) -> Page {
        let given = visit.request.uri.queryParameters
        var query = BatchListView.Query()
        query.status = given.get("status", as: BatchStatus.self)
        query.flow = given.get("flow") ?? ""
        query.tag = given.get("tag") ?? ""
        query.text = given.get("q") ?? ""
        query.after = given.get("after") ?? ""
        let view = BatchListView(base: visit.base, query: query, batches: directory.snapshot, history: history)
        return Page(.batches, "Batches", "batches", view, events: "/api/events", interval: 2)
    }

    /// The batch of the address.
    private func summary(_ visit: Visit) throws -> BatchSummary {
        try directory.summary(of: visit.context.parameter("batch"))
    }

    private func batch(_ visit: Visit) async throws -> Page {
        let batch = try summary(visit)
        let (base, mayWrite) = (visit.base, visit.mayWrite)
        let (groups, samples) = await readings.reading(of: batch)
        let view = BatchView(
            batch,
            base: base,
            mayWrite: mayWrite,
            history: history,
            groups: groups.map { $0.prefix(BatchReadings.maximumGroups) }?
                .map { BatchView.Group($0, of: batch, base: base, mayWrite: mayWrite) },
            groupCount: groups?.count ?? 0,
            samples: samples.map { BatchView.Sample($0, of: batch, base: base) }
        )
        return page(of: batch, "", "batch", view)
    }

    private func tasks(_ visit: Visit) async throws -> Page {
        let batch = try summary(visit)
        let given = visit.request.uri.queryParameters
        var query = TaskListView.Query()
        query.status = given.get("status", as: TaskRow.Status.self)
        query.errorType = given.get("error_type") ?? ""
        query.group = given.get("group") ?? ""
        query.text = given.get("q") ?? ""
        query.after = min(max(-1, given.get("after", as: Int.self) ?? -1), BatchState.maximumTasks)
        let id = batch.info.id.text
        let (tasks, wanted) = (tasks, query)
        let found = try await readings.soon(batch.info.id) {
            let page = try await tasks.page(
                of: id,
                matching: wanted.tasks,
                after: wanted.after,
                limit: TaskListView.pageSize
            )
            let groups = wanted.group.isEmpty ? [] : try await tasks.errorGroups(of: id)
            return (page, groups.first { $0.id == wanted.group })
        }
        guard let (page, group) = found else { return reading(batch, visit) }
        let view = TaskListView(batch, page, query, group: group, base: visit.base, mayWrite: visit.mayWrite)
        return self.page(of: batch, "tasks of ", "tasks", view)
    }

    private func task(_ visit: Visit) async throws -> Page {
        let batch = try summary(visit)
        guard let index = Int(try visit.context.parameter("index")), index >= 0 else { throw Self.missing }
        let (tasks, id) = (tasks, batch.info.id.text)
        guard let task = try await readings.soon(batch.info.id, { try await tasks.task(of: id, index: index) }) else {
            return reading(batch, visit)
        }
        let view = TaskView(batch, task, base: visit.base, mayWrite: visit.mayWrite)
        return page(of: batch, "task \(index) of ", "task", view)
    }

    /// Returns the page that is shown until the tasks of a large batch are read.
    private func reading(_ batch: BatchSummary, _ visit: Visit) -> Page {
        let view = ReadingView(batch, base: visit.base, mayWrite: visit.mayWrite)
        return page(of: batch, "tasks of ", "reading", view)
    }

    private func journal(_ visit: Visit) async throws -> Page {
        let batch = try summary(visit)
        let events = try await client.journalEvents(of: batch.info.id)
        let view = JournalView(batch, events, base: visit.base, mayWrite: visit.mayWrite)
        return page(of: batch, "journal of ", "journal", view)
    }

    private func page(of batch: BatchSummary, _ what: String, _ template: String, _ content: Any) -> Page {
        let title = "\(what)\(batch.info.flow) \(batch.info.id)"
        return Page(.batches, title, template, content, events: "/api/batches/\(batch.info.id)/events", interval: 2)
    }

    // MARK: Every page

    /// Adds a route whose errors are pages too.
    private func page(
        _ group: RouterGroup<ServerContext>,
        _ path: RouterPath,
        _ make: @escaping @Sendable (Visit) async throws -> Page
    ) {
        group.get(path) { request, context in
            try context.require(.read)
            do {
                let page = try await make(Visit(request: request, context: context))
                return files.response(to: request, page, in: shell(base: context.prefix, part: page.part))
            } catch {
                let page = Self.problem(error, base: context.prefix)
                return files.response(to: request, page, in: shell(base: context.prefix, part: nil))
            }
        }
    }

    private func shell(base: String, part: PageShell.Part?, hasNavigation: Bool = true) -> PageShell {
        let asking = hasNavigation ? directory.snapshot.reduce(0) { $0 + $1.questions } : 0
        return PageShell(
            base: base,
            style: "\(base)/assets/\(files.style.name)",
            script: "\(base)/assets/\(files.script.name)",
            icon: "\(base)/assets/\(files.icon.name)",
            navigation: !hasNavigation
                ? []
                : PageShell.Part.allCases.map { entry in
                    PageShell.Entry(
                        href: "\(base)/\(entry.path)",
                        name: entry.rawValue,
                        isCurrent: entry == part,
                        waiting: entry == .questions && asking > 0 ? Figures.number(asking) : nil
                    )
                },
            isSignedIn: hasTokens
        )
    }

    /// Returns the page that reports an error.
    private static func problem(_ error: any Error, base: String) -> Page {
        let problem = Problem(of: error)
        let status = (error as? HTTPError)?.status ?? problem.kind.status
        let text = (error as? HTTPError).map { $0.body ?? $0.status.reasonPhrase } ?? problem.message
        let head =
            switch status.code {
            case 404: "Not found"
            case 503: "The broker does not answer"
            default: status.reasonPhrase
            }
        let view = ProblemView(base: base, code: String(status.code), head: head, text: text)
        return Page(nil, head, "problem", view, status: status)
    }
}

extension Response {
    /// Creates a response with a file whose name changes with its content.
    fileprivate init(_ asset: PageFiles.Asset) {
        self.init(
            status: .ok,
            headers: [
                .contentType: asset.type, .cacheControl: "public, max-age=31536000, immutable",
                .contentLength: String(asset.bytes.count),
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: asset.bytes))
        )
    }
}
