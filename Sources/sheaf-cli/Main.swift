import SheafCommands

@main
struct Main {
    static func main() async {
        await SheafCommand.execute()
    }
}
