//! `watch`: the terminal, its keys, and frames on it.

#![allow(clippy::wildcard_enum_match_arm, reason = "other keys do nothing")]

use std::io::{self, IsTerminal, Stdout};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::{Hide, Show};
use ratatui_crossterm::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
    MouseButton, MouseEventKind,
};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::args::Cli;
use super::exit::Exit;
use super::{Failure, block_on, colour_stdout, print, render, settings_to_read};
use crate::app::{self, Environment, WatchSource, WatchUpdate};
use crate::cycle::Clock;
use crate::output::watch::{Colours, Key, Now, State, Theme, Then, frame, printed, whole_frame};

/// The columns of a frame that is printed to no terminal.
const DEFAULT_WIDTH: u16 = 80;

/// The clock and the ages of a frame move so often.
const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// Keys and cycles that may wait.
const MAX_WAITING: usize = 64;

/// Lines of a turn of the mouse wheel.
const WHEEL_LINES: usize = 3;

/// `once`: one frame is printed, perhaps of a width that was given.
pub(super) fn run(cli: &Cli, socket: Option<&Path>, once: Option<Option<u16>>) -> Result<Exit, Failure> {
    if once.is_none() && !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        render::eprint_plain_error("`watch` needs a terminal; `watch --once` prints one frame anywhere");
        return Ok(Exit::Usage);
    }
    let environment = Environment::of_process();
    let daemon = block_on(app::daemon_socket(socket, environment))?;
    let source = match daemon {
        Some(path) => WatchSource::Daemon(path),
        None => WatchSource::Poll(Box::new(settings_to_read(cli)?)),
    };
    let theme = theme(colour_stdout(cli.colour));
    if let Some(width) = once {
        let document = block_on(app::watch_once(&source))?;
        let mut state = State::new(source.feed());
        let terminal = render::text_options(false).width;
        state.resize(width.or(terminal).unwrap_or(DEFAULT_WIDTH), 0);
        state.take(document);
        print(&printed(&whole_frame(&state, &now(), theme), theme.colours != Colours::None))?;
        return Ok(Exit::Ok);
    }
    block_on(async { Ok(live(&source, theme).await) })??;
    Ok(Exit::Ok)
}

/// The colours and letters of this terminal.
fn theme(has_colour: bool) -> Theme {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_many =
        variable("COLORTERM").is_some() || variable("TERM").is_some_and(|term| term.contains("256"));
    let colours = match (has_colour, is_many) {
        (false, _) => Colours::None,
        (true, false) => Colours::Sixteen,
        (true, true) => Colours::Many,
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    let is_utf8 = |locale: String| locale.to_lowercase().replace('-', "").contains("utf8");
    Theme { colours, is_ascii: locale.is_some_and(|locale| !is_utf8(locale)) }
}

fn now() -> Now {
    Now { at: Clock.now(), zone: jiff::tz::TimeZone::system() }
}

/// Frames until the person leaves, or a signal asks for it.
async fn live(source: &WatchSource, theme: Theme) -> io::Result<()> {
    let mut stops = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<io::Result<Vec<_>>>()?;
    let mut stopped = pin!(std::future::poll_fn(|context| {
        let is_stopped = stops.iter_mut().any(|stop| stop.poll_recv(context).is_ready());
        if is_stopped { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }));
    let mut screen = Screen::enter()?;
    let mut inputs = inputs();
    let (sender, mut updates) = channel(MAX_WAITING);
    let mut following = pin!(app::watch(source, &sender));
    let mut ticks = tokio::time::interval(RENEWED_EVERY);
    let mut state = State::new(source.feed());
    loop {
        screen.draw(&mut state, theme)?;
        tokio::select! {
            () = &mut stopped => return Ok(()),
            () = &mut following => return Ok(()),
            input = inputs.recv() => match input {
                Some(Event::Resize(..)) => (),
                Some(event) => if press(&mut state, &event) == Then::Quit { return Ok(()) },
                // The terminal is gone.
                None => return Ok(()),
            },
            Some(update) = updates.recv() => match update {
                WatchUpdate::Cycle(document) => state.take(*document),
                WatchUpdate::Trouble(trouble) => state.fail(trouble),
            },
            _ = ticks.tick() => (),
        }
    }
}

/// The terminal while it is drawn on. It is given back as it was, also on a panic.
struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        enable_raw_mode()?;
        let screen =
            Terminal::new(CrosstermBackend::new(io::stdout())).map(Self).inspect_err(|_| restore())?;
        // If this fails, what is dropped gives it back.
        execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, Hide)?;
        Ok(screen)
    }

    fn draw(&mut self, state: &mut State, theme: Theme) -> io::Result<()> {
        self.0.draw(|shown| {
            let area = shown.area();
            state.resize(area.width, area.height);
            shown.buffer_mut().clone_from(&frame(state, &now(), theme));
        })?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// A failure here cannot be mended.
fn restore() {
    execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show).unwrap_or_default();
    disable_raw_mode().unwrap_or_default();
}

/// Keys, clicks and resizes, read by a thread of its own, which ends with the process.
fn inputs() -> Receiver<Event> {
    let (sender, inputs) = channel(MAX_WAITING);
    std::thread::spawn(move || read(&sender));
    inputs
}

fn read(inputs: &Sender<Event>) {
    while let Ok(event) = event::read() {
        if inputs.blocking_send(event).is_err() {
            return;
        }
    }
}

fn press(state: &mut State, event: &Event) -> Then {
    let keys = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(*key).into_iter().collect(),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => vec![Key::Click(mouse.column, mouse.row)],
            MouseEventKind::ScrollUp => vec![Key::Up; WHEEL_LINES],
            MouseEventKind::ScrollDown => vec![Key::Down; WHEEL_LINES],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    keys.into_iter().map(|key| state.press(key)).find(|then| *then == Then::Quit).unwrap_or(Then::Stay)
}

fn key_of(key: KeyEvent) -> Option<Key> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    Some(match key.code {
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
