/// Collects the names that stood for nothing while one template was filled in.
final class MissingFields {
    var paths: [[String]] = []
}
