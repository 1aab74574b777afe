/// Says what is wrong with a template, or with a task it is filled in for.
public struct TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, for people.
    public let description: String

    init(_ description: String) { self.description = description }
}
