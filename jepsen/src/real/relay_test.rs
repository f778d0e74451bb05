use super::*;

fn line() -> Line {
    Line { waiting: BinaryHeap::new(), last: Instant::now(), number: 0, rng: Rng::new(7) }
}

fn frames(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(2).map(|frame| frame[0]).collect()
}

/// Takes in the frames 0..100 of two bytes each; those that come out within a minute.
fn carry_hundred(weather: Weather) -> Vec<u8> {
    let sky = Sky::default();
    sky.set(weather);
    let mut line = line();
    for number in 0..100u8 {
        line.take_in(Bytes::copy_from_slice(&[number, number]), &sky);
    }
    frames(&line.due(Instant::now() + Duration::from_secs(60)))
}

#[tokio::test]
async fn in_fair_weather_everything_passes_in_order() {
    assert_eq!(carry_hundred(Weather::default()), (0..100).collect::<Vec<u8>>());
}

#[tokio::test]
async fn delay_keeps_the_order() {
    let weather = Weather { delay_max: Duration::from_millis(50), ..Weather::default() };
    assert_eq!(carry_hundred(weather), (0..100).collect::<Vec<u8>>());
    let sky = Sky::default();
    sky.set(Weather { delay_min: Duration::from_secs(1), delay_max: Duration::from_secs(1), ..Weather::default() });
    let mut line = line();
    line.take_in(Bytes::from_static(b"aa"), &sky);
    assert!(line.due(Instant::now()).is_empty());
}

#[tokio::test]
async fn frames_arrive_twice_or_out_of_order_and_none_is_lost() {
    let twice = carry_hundred(Weather { duplicated: 500, ..Weather::default() });
    assert!(twice.len() > 120, "{}", twice.len());
    assert_eq!(twice.iter().filter(|frame| **frame == 0).count(), 1, "the first frame introduces the other side");
    let mixed = carry_hundred(Weather { delay_max: Duration::from_millis(5), reordered: 300, ..Weather::default() });
    assert_eq!(mixed[0], 0);
    assert!(!mixed.is_sorted());
    let mut all = mixed.clone();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u8>>());
}
