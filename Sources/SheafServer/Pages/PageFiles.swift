import Mustache

/// The templates, styles and script of the pages, which are compiled into the program.
struct PageFiles: Sendable {
    /// A file that a page loads, with a hash of its content in its name, so that browsers may keep it.
    struct Asset: Sendable {
        let name: String
        let type: String
        let bytes: [UInt8]

        init(_ stem: String, _ suffix: String, type: String, _ bytes: [UInt8]) {
            self.name = "\(stem).\(EntityTag(bytes).digest).\(suffix)"
            self.type = type
            self.bytes = bytes
        }
    }

    let library: MustacheLibrary
    let style = Asset("sheaf", "css", type: "text/css; charset=utf-8", PackageResources.sheaf_css)
    let script = Asset("sheaf", "js", type: "text/javascript; charset=utf-8", PackageResources.sheaf_js)
    let icon = Asset("sheaf", "svg", type: "image/svg+xml", PackageResources.sheaf_svg)

    var assets: [Asset] { [style, script, icon] }

    /// Parses the templates; throws if one is not valid.
    init() throws {
        MustacheContentTypes.register(PageText(), named: PageText.name)
        let templates: [(String, [UInt8])] = [
            ("layout", PackageResources.layout_mustache), ("icons", PackageResources.icons_mustache),
            ("status", PackageResources.status_mustache), ("meter", PackageResources.meter_mustache),
            ("code", PackageResources.code_mustache), ("command", PackageResources.command_mustache),
            ("action", PackageResources.action_mustache), ("moment", PackageResources.moment_mustache),
            ("batch-head", PackageResources.batch_head_mustache),
            ("batches", PackageResources.batches_mustache), ("batch", PackageResources.batch_mustache),
            ("tasks", PackageResources.tasks_mustache), ("task", PackageResources.task_mustache),
            ("journal", PackageResources.journal_mustache), ("workers", PackageResources.workers_mustache),
            ("flows", PackageResources.flows_mustache), ("questions", PackageResources.questions_mustache),
            ("dead", PackageResources.dead_mustache), ("letter", PackageResources.letter_mustache),
            ("new", PackageResources.new_mustache), ("sign-in", PackageResources.sign_in_mustache),
            ("problem", PackageResources.problem_mustache), ("reading", PackageResources.reading_mustache),
        ]
        var library = MustacheLibrary()
        for (name, bytes) in templates {
            let text = "{{% CONTENT_TYPE:\(PageText.name)}}" + String(decoding: bytes, as: UTF8.self)
            try library.register(text, named: name)
        }
        self.library = library
    }
}
